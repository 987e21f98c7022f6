import type { Weight } from '@blip2/core';
import type { OnnxNode } from '../onnx/graph.ts';
import type { GraphWeight, TracedGraph } from '../trace/graph-builder.ts';
import type { WeightForm, WeightRequest } from '../weights/weight-store.ts';
import { Activations, quantizedProduct, type QuantizedForm } from './quantized-product.ts';

/** A graph whose weights are wishes to a weight store. */
export interface PlacedGraph extends Omit<TracedGraph, 'weights'> {
  readonly requests: readonly WeightRequest[];
}

/**
 * Decides for one product x·Wᵀ; `undefined` leaves it in float32.
 *
 * @param name - Of the weight in the graph, where no two have the same.
 */
export type QuantizationPolicy = (weight: Weight, name: string) => QuantizedForm | undefined;

/** How {@link placeWeights} places. */
export interface PlaceWeightsOptions {
  /** Leaves weights as they are stored, also those that the graph computes with: it converts them itself. @default false */
  readonly keepStored?: boolean;
}

/**
 * Decides in which form the graph wants each weight: quantised where a product takes it so, as 32-bit numbers where it is
 * computed with, as it is stored where its rows are only picked.
 *
 * @param policy - Asked for every product of activations with a weight matrix.
 */
export function placeWeights(
  graph: TracedGraph,
  policy: QuantizationPolicy,
  { keepStored = false }: PlaceWeightsOptions = {},
): PlacedGraph {
  const wishes = new WeightWishes(graph, keepStored);
  const activations = new Activations();
  const nodes = graph.nodes
    .filter((node) => keepStored || !wishes.isConversion(node))
    .flatMap((node) => {
      const matrix = isProduct(node) ? wishes.matrix(node.inputs[1]!) : undefined;
      const form = matrix && quantizedForm(matrix, policy);
      if (matrix === undefined || form === undefined) return [{ ...node, inputs: node.inputs.map((name) => wishes.name(name)) }];
      const [codes, scales] = wishes.parts(matrix, form);
      const [x, , bias] = node.inputs.map((name, index) => (index === 1 ? '' : wishes.name(name)));
      const operands = { x: x!, codes, scales, bias, result: node.outputs[0]! };
      return quantizedProduct(operands, matrix.weight.shape as [number, number], form, activations);
    });
  return { ...graph, nodes, constants: [...graph.constants, ...activations.constants], requests: wishes.requests };
}

/** Whether a node is a product x·Bᵀ. */
export function isProduct({ operator, attributes }: OnnxNode): boolean {
  return operator === 'Gemm' && attributes['transB'] === 1 && attributes['transA'] !== 1;
}

/** Weights by every name that stands for their numbers: their own, and those of their conversions to 32 bits. */
export function weightsByName({ weights, nodes }: TracedGraph): ReadonlyMap<string, GraphWeight> {
  const byName = new Map(weights.map((weight) => [weight.name, weight]));
  for (const { operator, inputs, outputs } of nodes) {
    const weight = operator === 'Cast' ? byName.get(inputs[0]!) : undefined;
    // A conversion of a conversion, to whole numbers perhaps, is a computation.
    if (weight !== undefined && weight.name === inputs[0]) byName.set(outputs[0]!, weight);
  }
  return byName;
}

/** A matrix that is stored quantised stays so; others follow the policy. */
export function quantizedForm({ name, weight }: GraphWeight, policy: QuantizationPolicy): QuantizedForm | undefined {
  if (weight.quantized === undefined) return policy(weight, name);
  const { bits, blockSize } = weight.quantized;
  return { kind: 'blocks', bits, blockSize };
}

/** Collects what a graph wants of its weights. */
class WeightWishes {
  readonly #byName: ReadonlyMap<string, GraphWeight>;
  readonly #stored: ReadonlySet<string>;
  readonly #keepStored: boolean;
  readonly #requests: Map<string, WeightRequest> = new Map();

  constructor(graph: TracedGraph, keepStored: boolean) {
    this.#byName = weightsByName(graph);
    this.#stored = new Set(graph.weights.map(({ name }) => name));
    this.#keepStored = keepStored;
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
    if (this.#keepStored) return this.#stored.has(name) ? this.#request(weight, [name], { kind: 'stored' })[0]! : name;
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
