import { type AxisExpression, axisNames, ConfigError } from '@blip2/core';
import { ONNX_TYPE_CODES, type OnnxAttribute, type OnnxInitializer, type OnnxNode, type OnnxType } from '../onnx/graph.ts';
import { int64Constant } from '../onnx/parts.ts';
import type { DeclaredInput } from './merge-traces.ts';
import { axisText } from './solve-sizes.ts';

/** One element of a constant that follows from sizes. */
export interface SizeElement {
  readonly expression: AxisExpression;
  /** Whether it is one over the expression. */
  readonly inverse: boolean;
}

/** Nodes that compute sizes from the shapes of the inputs, int64 `[1]` each. Equal expressions are computed once. */
export class SizeArithmetic {
  readonly nodes: OnnxNode[] = [];
  readonly constants: OnnxInitializer[] = [];
  readonly #inputs: readonly DeclaredInput[];
  readonly #made: Map<string, string> = new Map();

  constructor(inputs: readonly DeclaredInput[]) {
    this.#inputs = inputs;
  }

  /** A constant of which at least one element follows from sizes. @returns the name of its value. */
  constant(elements: readonly SizeElement[], shape: readonly number[], type: OnnxType): string {
    const parts = elements.map((element) => this.#element(element, type));
    const joined = parts.length === 1 ? parts[0]! : this.#node('Concat', parts, { axis: 0 });
    return shape.length === 1 ? joined : this.#node('Reshape', [joined, this.#whole(shape)]);
  }

  #element({ expression, inverse }: SizeElement, type: OnnxType): string {
    const whole = this.#expression(expression);
    if (type === 'int64') return whole;
    const cast = this.#node('Cast', [whole], { to: ONNX_TYPE_CODES[type] });
    return inverse ? this.#node('Reciprocal', [cast]) : cast;
  }

  #expression(expression: AxisExpression): string {
    const terms = expression.map(({ factor, names }) => {
      const sizes = names.map((name) => this.#axis(name));
      const factors = factor === 1 && sizes.length > 0 ? sizes : [...sizes, this.#whole([factor])];
      return factors.reduce((product, size) => this.#node('Mul', [product, size]));
    });
    return terms.reduce((sum, term) => this.#node('Add', [sum, term]));
  }

  /** A named axis, from the first axis of an input in which it is the only one that is not known otherwise. */
  #axis(name: string): string {
    const known = this.#made.get(`axis ${name}`);
    if (known !== undefined) return known;
    for (const { input, index, coefficient, rest } of this.#placesOf(name)) {
      const size = this.#node('Shape', [input.name], { start: index, end: index + 1 });
      const shifted = rest.length === 0 ? size : this.#node('Sub', [size, this.#expression(rest)]);
      const isPlain = coefficient.length === 1 && coefficient[0]!.factor === 1 && coefficient[0]!.names.length === 0;
      const found = isPlain ? shifted : this.#node('Div', [shifted, this.#expression(coefficient)]);
      this.#made.set(`axis ${name}`, found);
      return found;
    }
    const declared = this.#inputs.map((input) => `${input.name} [${input.axes.map(axisText).join(', ')}]`).join('; ');
    throw new ConfigError(
      `compile: the size of the axis '${name}' does not follow from the shapes of the inputs (${declared}). ` +
        `Declare an input with an axis of that name alone.`,
    );
  }

  /** Axes `coefficient·name + rest` of inputs whose other names are known without this one, the simplest first. */
  #placesOf(name: string): (LinearAxis & { readonly input: DeclaredInput; readonly index: number })[] {
    const places = this.#inputs.flatMap((input) =>
      input.axes.flatMap((axis, index) => {
        const linear = linearIn(axis, name);
        return linear === undefined ? [] : [{ ...linear, input, index }];
      }),
    );
    const others = ({ coefficient, rest }: LinearAxis): string[] => [...axisNames(coefficient), ...axisNames(rest)];
    return places
      .filter((place) => others(place).every((other) => this.#isKnownWithout(other, new Set([name]))))
      .toSorted((a, b) => others(a).length - others(b).length);
  }

  /** Whether an axis follows from the inputs without the sizes that are asked for. */
  #isKnownWithout(name: string, asked: ReadonlySet<string>): boolean {
    if (asked.has(name)) return false;
    const next = new Set([...asked, name]);
    return this.#inputs.some(({ axes }) =>
      axes.some((axis) => {
        const linear = linearIn(axis, name);
        return (
          linear !== undefined &&
          [...axisNames(linear.coefficient), ...axisNames(linear.rest)].every((other) => this.#isKnownWithout(other, next))
        );
      }),
    );
  }

  #whole(values: readonly number[]): string {
    return this.#once(`whole ${values.join()}`, () => {
      const name = `size_constant_${this.constants.length}`;
      this.constants.push(int64Constant(name, values));
      return name;
    });
  }

  #node(operator: string, inputs: readonly string[], attributes: Readonly<Record<string, OnnxAttribute>> = {}): string {
    return this.#once(`${operator} ${inputs.join()} ${JSON.stringify(attributes)}`, () => {
      const name = `size_${this.nodes.length}`;
      this.nodes.push({ operator, domain: '', inputs, outputs: [name], attributes });
      return name;
    });
  }

  #once(key: string, make: () => string): string {
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const name = make();
    this.#made.set(key, name);
    return name;
  }
}

/** An axis as coefficient·name + rest. */
interface LinearAxis {
  readonly coefficient: AxisExpression;
  readonly rest: AxisExpression;
}

/** @returns `undefined` when the name is not in it, or not linearly. */
function linearIn(axis: AxisExpression, name: string): LinearAxis | undefined {
  const times = ({ names }: AxisExpression[number]): number => names.filter((other) => other === name).length;
  if (axis.some((term) => times(term) > 1) || !axis.some((term) => times(term) === 1)) return undefined;
  return {
    coefficient: axis
      .filter((term) => times(term) === 1)
      .map(({ factor, names }) => ({ factor, names: names.filter((other) => other !== name) })),
    rest: axis.filter((term) => times(term) === 0),
  };
}
