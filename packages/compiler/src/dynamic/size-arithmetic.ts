import { type AxisExpression, axisNames, ConfigError } from '@blip2/core';
import { ONNX_TYPE_CODES, type OnnxAttribute, type OnnxInitializer, type OnnxNode, type OnnxType } from '../onnx/graph.ts';
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

  /** A named axis from the first input axis that has no other name in it. */
  #axis(name: string): string {
    for (const input of this.#inputs) {
      for (const [index, axis] of input.axes.entries()) {
        const linear = linearIn(axis, name);
        if (linear === undefined) continue;
        const shape = this.#node('Shape', [input.name], { start: index, end: index + 1 });
        const shifted = linear.constant === 0 ? shape : this.#node('Sub', [shape, this.#whole([linear.constant])]);
        return linear.factor === 1 ? shifted : this.#node('Div', [shifted, this.#whole([linear.factor])]);
      }
    }
    const declared = this.#inputs.map((input) => `${input.name} [${input.axes.map(axisText).join(', ')}]`).join('; ');
    throw new ConfigError(
      `compile: the axis '${name}' does not stand alone in any input (${declared}), so its size cannot be found when the function runs. ` +
        `Declare an input with an axis of that name alone.`,
    );
  }

  #whole(values: readonly number[]): string {
    return this.#once(`whole ${values.join()}`, () => {
      const name = `size_constant_${this.constants.length}`;
      const bytes = new Uint8Array(BigInt64Array.from(values, (value) => BigInt(value)).buffer);
      this.constants.push({ name, type: 'int64', shape: [values.length], bytes });
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

/** `constant + factor·name`, if an axis is that. */
function linearIn(axis: AxisExpression, name: string): { constant: number; factor: number } | undefined {
  if (axisNames(axis).join() !== name || axis.some(({ names }) => names.length > 1)) return undefined;
  const sum = (terms: AxisExpression): number => terms.reduce((total, { factor }) => total + factor, 0);
  return {
    constant: sum(axis.filter(({ names }) => names.length === 0)),
    factor: sum(axis.filter(({ names }) => names.length === 1)),
  };
}
