import { type Checkpoint, ConfigError, readCheckpointJson, renamedWeight, type Tokenizer, type WeightSource } from '@blip2/core';
import { type OptConfig, optConfigFromJson, type T5Config, t5ConfigFromJson } from '@blip2/llm-adapters';
import { loadTokenizer } from '@blip2/tokenizers';

/** A language model of a checkpoint. */
export interface LanguagePart {
  readonly config: { readonly kind: 'opt'; readonly config: OptConfig } | { readonly kind: 't5'; readonly config: T5Config };
  readonly json: Readonly<Record<string, unknown>>;
  readonly tokenizer: Tokenizer;
  /** Under the names of a BLIP-2 model. */
  readonly weights: WeightSource;
}

const PREFIX = 'language_model.';

/**
 * The language model inside a BLIP-2 checkpoint, or a plain OPT or T5.
 *
 * @param isPlain - Whether the folder was named for its language model.
 * @throws {ConfigError} when there is none.
 */
export async function languagePartOf(checkpoint: Checkpoint, isPlain: boolean): Promise<LanguagePart> {
  const whole = (await readCheckpointJson(checkpoint, 'config.json')) as Readonly<Record<string, unknown>>;
  const isBlip2 = whole['model_type'] === 'blip-2';
  const given = (isBlip2 ? { model_type: 'opt', ...(whole['text_config'] as object | undefined) } : whole) as Readonly<
    Record<string, unknown>
  >;
  const names = checkpoint.weights.names.filter((name) => !isBlip2 || name.startsWith(PREFIX));
  if (names.length === 0) {
    throw new ConfigError(
      `${checkpoint.name}: has no language model. ` +
        (isPlain ? 'Name a folder of OPT or Flan-T5.' : "Name one with 'languageModel', such as a folder of OPT or Flan-T5."),
    );
  }
  const weights = new Map(
    names.map((name) => {
      const weight = checkpoint.weights.get(name)!;
      return isBlip2 ? ([name, weight] as const) : ([PREFIX + name, renamedWeight(weight, PREFIX + name)] as const);
    }),
  );
  const kind = given['model_type'];
  if (kind !== 'opt' && kind !== 't5') {
    throw new ConfigError(
      `${checkpoint.name}: its language model is of type ${JSON.stringify(kind)}, expected "opt" or "t5". Name another.`,
    );
  }
  const tokenizer = await loadTokenizer(checkpoint, { kind });
  const json = kind === 'opt' && !isBlip2 ? withNewlineAtEnd(given, tokenizer) : given;
  return {
    config: kind === 'opt' ? { kind, config: optConfigFromJson(json) } : { kind, config: t5ConfigFromJson(json) },
    json,
    tokenizer,
    weights: { name: checkpoint.name, names: [...weights.keys()], get: (name) => weights.get(name) },
  };
}

/** In BLIP-2 OPT's texts end with a line, not with `</s>`, which begins them too. Source: LAVIS `blip2_opt.py`. */
function withNewlineAtEnd(json: Readonly<Record<string, unknown>>, tokenizer: Tokenizer): Readonly<Record<string, unknown>> {
  const [newline, ...more] = tokenizer.encode('\n', { addSpecialTokens: false });
  return newline === undefined || more.length > 0 ? json : { ...json, eos_token_id: newline };
}
