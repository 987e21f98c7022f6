import type { Weight } from '@blip2/core';
import type { OnnxNode } from '../onnx/graph.ts';
import type { GraphWeight, TracedGraph } from '../trace/graph-builder.ts';
import type { WeightForm, WeightRequest } from '../weights/weight-store.ts';

/** A graph whose weights are wishes to a weight store. */
export interface PlacedGraph extends Omit<TracedGraph, 'weights'> {
  readonly requests: readonly WeightRequest[];
}

/** A form in which a matrix product takes a quantised weight. */
export type QuantizedForm = Extract<WeightForm, { kind: 'blocks' | 'columns' }>;

/** Decides for one product x·Wᵀ; `undefined` leaves it in float32. */
export type QuantizationPolicy = (weight: Weight) => QuantizedForm | undefined;

/**
 * Decides in which form the graph wants each weight: quantised where a product takes it so, as 32-bit numbers where it is
 * computed with, as it is stored where its rows are only picked.
 *
 * @param policy - Asked for every product of activations with a weight matrix.
 */
export function placeWeights(graph: TracedGraph, policy: QuantizationPolicy): PlacedGraph {
  const wishes = new WeightWishes(graph);
  const nodes = graph.nodes
    .filter((node) => !wishes.isConversion(node))
    .map((node) => {
      const matrix = node.operator === 'Gemm' && node.attributes['transB'] === 1 ? wishes.matrix(node.inputs[1]!) : undefined;
      const form = matrix && quantizedForm(matrix.weight, policy);
      if (matrix === undefined || form === undefined) return { ...node, inputs: node.inputs.map((name) => wishes.name(name)) };
      const [codes, scales] = wishes.parts(matrix, form);
      const [x, , bias] = node.inputs.map((name, index) => (index === 1 ? '' : wishes.name(name)));
      return quantizedProduct(node.outputs, { x: x!, codes, scales, bias }, matrix.weight.shape as [number, number], form);
    });
  return { ...graph, nodes, requests: wishes.requests };
}

/** A matrix that is stored quantised stays so; others follow the policy. */
function quantizedForm(weight: Weight, policy: QuantizationPolicy): QuantizedForm | undefined {
  if (weight.quantized === undefined) return policy(weight);
  const { bits, blockSize } = weight.quantized;
  return { kind: 'blocks', bits, blockSize };
}

/** Collects what a graph wants of its weights. */
class WeightWishes {
  /** Weights by every name that stands for their numbers: their own, and those of their conversions to 32 bits. */
  readonly #byName: Map<string, GraphWeight> = new Map();
  readonly #stored: ReadonlySet<string>;
  readonly #requests: Map<string, WeightRequest> = new Map();

  constructor({ weights, nodes }: TracedGraph) {
    for (const weight of weights) this.#byName.set(weight.name, weight);
    this.#stored = new Set(weights.map(({ name }) => name));
    for (const node of nodes) {
      const weight = this.isConversion(node) ? this.#byName.get(node.inputs[0]!) : undefined;
      if (weight !== undefined) this.#byName.set(node.outputs[0]!, weight);
    }
  }

  /** Whether a node only makes 32-bit numbers of a stored weight, which the store does instead. */
  isConversion({ operator, inputs }: OnnxNode): boolean {
    return operator === 'Cast' && this.#stored.has(inputs[0]!);
  }

  /** The weight behind a product's right operand. */
  matrix(name: string): GraphWeight | undefined {
    const weight = this.#byName.get(name);
    return weight?.weight.shape.length === 2 ? weight : undefined;
  }

  /** What an input is called once weights have their forms. */
  name(name: string): string {
    const weight = this.#byName.get(name);
    if (weight === undefined) return name;
    const is32Bit = weight.type === 'float32' || weight.type === 'int32';
    if (this.#stored.has(name) && !is32Bit) return this.#request(weight, [`${weight.name}.stored`], { kind: 'stored' })[0]!;
    return this.#request(weight, [weight.name], { kind: 'values' })[0]!;
  }

  /** Names of the codes and scales of a quantised matrix. */
  parts(weight: GraphWeight, form: QuantizedForm): readonly [codes: string, scales: string] {
    const prefix = `${weight.name}.${form.kind === 'blocks' ? `int${form.bits}` : 'columns'}`;
    return this.#request(weight, [`${prefix}.codes`, `${prefix}.scales`], form) as [string, string];
  }

  get requests(): WeightRequest[] {
    return [...this.#requests.values()];
  }

  #request({ weight }: GraphWeight, names: readonly string[], form: WeightForm): readonly string[] {
    if (!this.#requests.has(names[0]!)) this.#requests.set(names[0]!, { names, weight, form });
    return names;
  }
}

/** Names of a quantised product's operands. */
interface ProductOperands {
  readonly x: string;
  readonly codes: string;
  readonly scales: string;
  readonly bias: string | undefined;
}

/** Whole-number products: activations are quantised as they come, each block of a row, or the whole tensor, with a scale of its own. */
function quantizedProduct(
  outputs: readonly string[],
  { x, codes, scales, bias }: ProductOperands,
  [rows, columns]: readonly [rows: number, columns: number],
  form: QuantizedForm,
): OnnxNode {
  const domain = 'com.microsoft';
  if (form.kind === 'columns') {
    const inputs = [x, codes, scales, '', ...(bias === undefined ? [] : [bias])];
    return { operator: 'DynamicQuantizeMatMul', domain, inputs, outputs, attributes: {} };
  }
  const inputs = [x, codes, scales, ...(bias === undefined ? [] : ['', '', bias])];
  // accuracy_level 4: products of 8-bit numbers.
  const attributes = { K: columns, N: rows, bits: form.bits, block_size: form.blockSize, accuracy_level: 4 };
  return { operator: 'MatMulNBits', domain, inputs, outputs, attributes };
}
