import type { OnnxInitializer, OnnxNode } from '../onnx/graph.ts';
import { int64Constant, simpleNode } from '../onnx/parts.ts';
import type { WeightForm } from '../weights/weight-store.ts';

/** A form in which a matrix product takes a quantised weight. */
export type QuantizedForm = Extract<WeightForm, { kind: 'blocks' | 'columns' }>;

/**
 * Changes activations to what their products take, once for products that share them: inputs give a part of their range to the matrix, and for products by columns each row is divided
 * by its largest magnitude, so that the one scale that these have for all activations is one for each row.
 */
export class Activations {
  readonly constants: OnnxInitializer[] = [];
  readonly #known: Set<string> = new Set();
  /** Names of scaled activations by their origin and exponents. */
  readonly #scaled: Map<string, string> = new Map();

  /** @returns the name of x·2^−e, and nodes that are new. */
  scale(x: string, exponents: readonly number[] | undefined): { name: string; nodes: OnnxNode[] } {
    if (exponents === undefined) return { name: x, nodes: [] };
    const key = `${x} ${exponents.join()}`;
    const known = this.#scaled.get(key);
    if (known !== undefined) return { name: known, nodes: [] };
    const name = `${x}.scaled${this.#scaled.size}`;
    this.#scaled.set(key, name);
    this.#constant(
      `${name}.factors`,
      exponents.map((exponent) => 2 ** -exponent),
    );
    return { name, nodes: [simpleNode('Mul', [x, `${name}.factors`], name)] };
  }

  /** @param x - `[rows, inputs]` @returns names of x with rows between −1 and 1, of their magnitudes `[rows, 1]`, and nodes that are new. */
  normalize(x: string): { name: string; magnitudes: string; nodes: OnnxNode[] } {
    const [name, magnitudes] = [`${x}.rows`, `${x}.magnitudes`];
    if (this.#known.has(name)) return { name, magnitudes, nodes: [] };
    if (this.#known.size === 0) {
      this.constants.push(int64Constant(LAST_AXIS, [-1]));
      this.#constant(LEAST, [2 ** -126]);
    }
    this.#known.add(name);
    const nodes = [
      simpleNode('ReduceMax', [x, LAST_AXIS], `${x}.largest`),
      simpleNode('ReduceMin', [x, LAST_AXIS], `${x}.smallest`),
      simpleNode('Neg', [`${x}.smallest`], `${x}.lowest`),
      // A row of zeros stays one.
      simpleNode('Max', [`${x}.largest`, `${x}.lowest`, LEAST], magnitudes),
      simpleNode('Div', [x, magnitudes], name),
    ];
    return { name, magnitudes, nodes };
  }

  #constant(name: string, values: readonly number[]): void {
    const bytes = new Uint8Array(Float32Array.from(values).buffer);
    this.constants.push({ name, type: 'float32', shape: [values.length], bytes });
  }
}

/** Names of constants; traced names have numbers. */
const LAST_AXIS = 'rows.axis';
const LEAST = 'rows.least';

/** Names of a quantised product's operands and result. */
export interface ProductOperands {
  readonly x: string;
  readonly codes: string;
  readonly scales: string;
  readonly bias: string | undefined;
  readonly result: string;
}

/** Whole-number products: activations are quantised as they come, each row or each block of a row with a scale of its own. */
export function quantizedProduct(
  { x, codes, scales, bias, result }: ProductOperands,
  [rows, columns]: readonly [rows: number, columns: number],
  form: QuantizedForm,
  activations: Activations,
): OnnxNode[] {
  const domain = 'com.microsoft';
  const scaled = activations.scale(x, form.inputExponents);
  if (form.kind === 'columns') {
    const { name, magnitudes, nodes } = activations.normalize(scaled.name);
    const [product, restored] = [`${result}.product`, bias === undefined ? result : `${result}.restored`];
    return [
      ...scaled.nodes,
      ...nodes,
      { ...simpleNode('DynamicQuantizeMatMul', [name, codes, scales], product), domain },
      simpleNode('Mul', [product, magnitudes], restored),
      ...(bias === undefined ? [] : [simpleNode('Add', [restored, bias], result)]),
    ];
  }
  const inputs = [scaled.name, codes, scales, ...(bias === undefined ? [] : ['', '', bias])];
  // accuracy_level 4: products of 8-bit numbers.
  const attributes = { K: columns, N: rows, bits: form.bits, block_size: form.blockSize, accuracy_level: 4 };
  return [...scaled.nodes, { operator: 'MatMulNBits', domain, inputs, outputs: [result], attributes }];
}
