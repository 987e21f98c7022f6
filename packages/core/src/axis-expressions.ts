import type { AxisSpec } from './engine.ts';
import { ConfigError, ShapeError } from './errors.ts';

/** A sum of products: what an {@link AxisSpec} says, in a form to compute with. */
export type AxisExpression = readonly AxisTerm[];

/** One product of an {@link AxisExpression}: a whole number times axis names, which may repeat. */
export interface AxisTerm {
  readonly factor: number;
  readonly names: readonly string[];
}

/** Sizes of named axes. */
export type AxisSizes = ReadonlyMap<string, number>;

/** What {@link bindAxes} compares: an input, the axes it was declared with, and its shape. */
export interface ShapedInput {
  /** For messages: `images`, `past.0.keys`. */
  readonly name: string;
  readonly axes: readonly AxisSpec[];
  readonly shape: readonly number[];
}

/**
 * Reads an axis: whole numbers and names, joined by `+` and `*`, products first.
 *
 * @throws {ConfigError} for anything else.
 *
 * @example
 * parseAxis('1 + rows * columns'); // [{ factor: 1, names: [] }, { factor: 1, names: ['rows', 'columns'] }]
 */
export function parseAxis(axis: AxisSpec): AxisExpression {
  if (typeof axis === 'number') {
    if (!Number.isInteger(axis) || axis < 0) throw badAxis(axis, `${axis} is no size`);
    return [{ factor: axis, names: [] }];
  }
  return axis.split('+').map((product) => {
    const names: string[] = [];
    let factor = 1;
    for (const part of product.split('*').map((text) => text.trim())) {
      if (/^\d+$/.test(part)) factor *= Number(part);
      else if (/^[A-Za-z_]\w*$/.test(part)) names.push(part);
      else throw badAxis(axis, part === '' ? 'a part is missing' : `'${part}' is neither a whole number nor a name`);
    }
    return { factor, names };
  });
}

/** The names that an expression is made of, each once, in order. */
export function axisNames(expression: AxisExpression): string[] {
  return [...new Set(expression.flatMap(({ names }) => names))];
}

/**
 * The size that an expression stands for.
 *
 * @throws {ConfigError} when a name has no size.
 *
 * @example
 * evaluateAxis(parseAxis('past + tokens'), new Map([['past', 7], ['tokens', 1]])); // 8
 */
export function evaluateAxis(expression: AxisExpression, sizes: AxisSizes): number {
  let sum = 0;
  for (const { factor, names } of expression) {
    let product = factor;
    for (const name of names) {
      const size = sizes.get(name);
      if (size === undefined) {
        const known = [...sizes.keys()].join(', ') || 'none';
        throw new ConfigError(
          `evaluateAxis: the axis '${name}' has no size; the axes with sizes are: ${known}. Give the size of '${name}' too.`,
        );
      }
      product *= size;
    }
    sum += product;
  }
  return sum;
}

/**
 * Finds the sizes of named axes from the shapes of inputs, and checks every axis. A name is found where it stands alone,
 * or where it is the only unknown: `'14 * rows'` of 224 makes `rows` 16.
 *
 * @param where - For messages: what the inputs belong to, `vision encoder`.
 * @throws {ShapeError} that names the input and the axis, when a rank or a size differs.
 * @throws {ConfigError} when the inputs leave a name open.
 *
 * @example
 * bindAxes([{ name: 'images', axes: ['batch', '14 * rows', '14 * columns', 3], shape: [2, 224, 224, 3] }], 'vision encoder');
 * // batch 2, rows 16, columns 16
 */
export function bindAxes(inputs: readonly ShapedInput[], where: string): Map<string, number> {
  const axes = inputs.flatMap((input) => {
    if (input.axes.length !== input.shape.length) {
      throw wrongShape(where, input, `expected ${input.axes.length} axes, not ${input.shape.length}`);
    }
    return input.axes.map((axis, index) => ({ input, index, expression: parseAxis(axis), size: input.shape[index]! }));
  });
  const sizes = new Map<string, number>();
  let open = axes.filter(({ expression }) => axisNames(expression).length > 0);
  for (let before = -1; before !== sizes.size;) {
    before = sizes.size;
    for (const { input, index, expression, size } of open) {
      const found = solve(expression, size, sizes);
      if (found === undefined) continue;
      if (!Number.isInteger(found.size) || found.size < 0) {
        throw wrongShape(
          where,
          input,
          `axis ${index} is ${size}, and no whole ${found.name} makes ${input.axes[index]} that size`,
        );
      }
      sizes.set(found.name, found.size);
    }
    open = open.filter(({ expression }) => axisNames(expression).some((name) => !sizes.has(name)));
  }
  if (open.length > 0) throw openAxis(where, open[0]!, sizes);
  for (const { input, index, expression, size } of axes) {
    const expected = evaluateAxis(expression, sizes);
    if (expected === size) continue;
    const because = explain(input.axes[index]!, axisNames(expression), sizes);
    throw wrongShape(where, input, `axis ${index} is ${size}, expected ${expected}${because}`);
  }
  return sizes;
}

/** The only unknown name of an expression and its size, where it is a plain factor: `size = rest + coefficient · name`. */
function solve(expression: AxisExpression, size: number, sizes: AxisSizes): { name: string; size: number } | undefined {
  const unknown = axisNames(expression).filter((name) => !sizes.has(name));
  const name = unknown[0];
  if (name === undefined || unknown.length > 1) return undefined;
  let rest = size;
  let coefficient = 0;
  for (const term of expression) {
    const times = term.names.filter((other) => other === name).length;
    if (times > 1) return undefined;
    const others = { factor: term.factor, names: term.names.filter((other) => other !== name) };
    const value = evaluateAxis([others], sizes);
    if (times === 0) rest -= value;
    else coefficient += value;
  }
  return coefficient === 0 ? undefined : { name, size: rest / coefficient };
}

/** Why an axis should have the size that it has not. */
function explain(axis: AxisSpec, names: readonly string[], sizes: AxisSizes): string {
  if (typeof axis === 'number') return '';
  if (names[0] === axis.trim()) return `, the size of ${axis} elsewhere`;
  return `, because ${axis} with ${names.map((name) => `${name} ${sizes.get(name)}`).join(', ')} is that`;
}

function wrongShape(where: string, { name, axes, shape }: ShapedInput, problem: string): ShapeError {
  return new ShapeError(
    `${where}: ${name} is [${shape.join(', ')}], expected [${axes.join(', ')}]: ${problem}. Pass inputs whose sizes go together.`,
    shape,
    axes,
  );
}

function openAxis(
  where: string,
  { input, index, expression }: { readonly input: ShapedInput; readonly index: number; readonly expression: AxisExpression },
  sizes: AxisSizes,
): ConfigError {
  const names = axisNames(expression).filter((name) => !sizes.has(name));
  return new ConfigError(
    `${where}: axis ${index} of ${input.name} is ${input.shape[index]} (${input.axes[index]}), from which ${names.join(' and ')} cannot be ` +
      `found, nor from another axis. Declare an input in which each name is the only unknown of an axis.`,
  );
}

function badAxis(axis: AxisSpec, problem: string): ConfigError {
  return new ConfigError(
    `parseAxis: '${axis}' cannot be read: ${problem}. Write whole numbers and names with + and * between them, such as 'past + tokens'.`,
  );
}
