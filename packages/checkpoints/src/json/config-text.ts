/** Fields whose values are no whole numbers, though they may look so. */
const FRACTIONS = /^(.*(dropout|layerdrop|_prob|_factor|_range|_eps|_epsilon))$/;

/**
 * A configuration as the text of `config.json`. JavaScript has one kind of number and would write the reference's 1.0 as 1, which
 * transformers 5 refuses where it wants a fraction: such fields keep their point.
 *
 * @example
 * configText({ initializer_factor: 1, layers: 2 }); // '{\n  "initializer_factor": 1.0,\n  "layers": 2\n}\n'
 *
 * Source: transformers 5, `PreTrainedConfig`, whose fields have strict types.
 */
export function configText(config: unknown): string {
  const text = JSON.stringify(config, undefined, 2);
  // A line a field; lines within texts do not exist in JSON.
  const lines = text.split('\n').map((line) => {
    const [, begin, name, number, end] = /^(\s*"([^"\\]+)": )(-?\d+)(,?)$/.exec(line) ?? [];
    return name !== undefined && FRACTIONS.test(name) ? `${begin}${number}.0${end}` : line;
  });
  return `${lines.join('\n')}\n`;
}
