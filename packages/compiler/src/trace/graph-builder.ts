import { sizeOf, type Weight, type WeightDtype } from '@blip2/core';
import type { OnnxAttribute, OnnxInitializer, OnnxNode, OnnxType, OnnxValue, ProductSizes } from '../onnx/graph.ts';

/** A weight that the graph refers to by name; its values stay where they are. */
export interface GraphWeight {
  readonly name: string;
  readonly type: OnnxType;
  readonly weight: Weight;
}

/** What one run of a function under the tracing backend recorded. */
export interface TracedGraph {
  readonly nodes: readonly OnnxNode[];
  readonly constants: readonly OnnxInitializer[];
  readonly weights: readonly GraphWeight[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

/** Settings of one operation. */
export interface OperationSettings {
  /** `''` is ONNX's own, `'com.microsoft'` ONNX Runtime's. */
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  /** Of a product of activations. */
  readonly product?: ProductSizes;
}

type Values = Float32Array | Int32Array | Uint8Array;

/** How the formats of safetensors files are called in ONNX; other formats are converted before they come here. */
const WEIGHT_TYPES: Readonly<Partial<Record<WeightDtype, OnnxType>>> = {
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I32: 'int32',
  I8: 'int8',
  U8: 'uint8',
};

/**
 * Collects the nodes and constants of one graph. Names are counted, so two traces of the same structure have the same
 * names: merging traces of different sizes relies on it, and constants are therefore not shared here.
 */
export class GraphBuilder {
  readonly #nodes: OnnxNode[] = [];
  readonly #constants: OnnxInitializer[] = [];
  readonly #weights: Map<Weight, GraphWeight> = new Map();
  readonly #weightNames: Set<string> = new Set();
  readonly #inputs: OnnxValue[] = [];
  readonly #computed: Set<string> = new Set();
  readonly #prefix: string;
  #names = 0;

  /** @param prefix - Of every name, so that nodes can be added to a graph that is built already. */
  constructor(prefix = '') {
    this.#prefix = prefix;
  }

  /** @returns the name of the node's only output. */
  operation(operator: string, inputs: readonly string[], settings: OperationSettings = {}): string {
    return this.operations(operator, inputs, 1, settings)[0]!;
  }

  /** @returns the names of the node's outputs. */
  operations(operator: string, inputs: readonly string[], outputCount: number, settings: OperationSettings = {}): string[] {
    const outputs = Array.from({ length: outputCount }, () => this.#nextName(operator));
    const { domain = '', attributes = {}, product } = settings;
    this.#nodes.push({ operator, domain, inputs, outputs, attributes, ...(product === undefined ? {} : { product }) });
    for (const output of outputs) this.#computed.add(output);
    return outputs;
  }

  /** A constant by its values. One number many times is stored once and expanded. */
  constant(values: Values, shape: readonly number[], type: OnnxType): string {
    const length = sizeOf(shape);
    if (length > 1 && values.every((value) => value === values[0])) {
      const scalar = this.#store(bytesOf(values.subarray(0, 1)), [], type);
      return this.operation('Expand', [scalar, this.sizes(shape)]);
    }
    return this.#store(bytesOf(values), shape, type);
  }

  float(value: number): string {
    return this.#store(bytesOf(Float32Array.of(value)), [], 'float32');
  }

  /** Sizes and positions, int64 `[count]`: what a Reshape or a Slice takes. Merging makes them symbolic. */
  sizes(values: readonly number[]): string {
    return this.#store(bytesOf(BigInt64Array.from(values, (value) => BigInt(value))), [values.length], 'int64');
  }

  /** One size, int64 scalar. */
  size(value: number): string {
    return this.#store(bytesOf(BigInt64Array.of(BigInt(value))), [], 'int64');
  }

  /** A weight by reference; the same weight has the same name. */
  weight(weight: Weight): GraphWeight {
    const known = this.#weights.get(weight);
    if (known !== undefined) return known;
    // Formats without a counterpart are read as float32 or int32, as `Weight.read` gives them.
    const type = (weight.location && WEIGHT_TYPES[weight.dtype]) ?? (isInteger(weight.dtype) ? 'int32' : 'float32');
    const name = this.#weightName(weight.name);
    const graphWeight: GraphWeight = { name, type, weight };
    this.#weights.set(weight, graphWeight);
    return graphWeight;
  }

  /** What was added so far, in order. */
  get nodes(): readonly OnnxNode[] {
    return this.#nodes;
  }

  /** Whether a name is a node's output, not a constant, a weight or an input. */
  isComputed(name: string): boolean {
    return this.#computed.has(name);
  }

  input(name: string, type: OnnxType, shape: readonly number[]): string {
    this.#inputs.push({ name, type, shape });
    return name;
  }

  finish(outputs: readonly OnnxValue[]): TracedGraph {
    return {
      nodes: this.#nodes,
      constants: this.#constants,
      weights: [...this.#weights.values()],
      inputs: this.#inputs,
      outputs,
    };
  }

  #store(bytes: Uint8Array, shape: readonly number[], type: OnnxType): string {
    const name = this.#nextName('constant');
    this.#constants.push({ name, type, shape: shape.slice(), bytes });
    return name;
  }

  #nextName(kind: string): string {
    return `${this.#prefix}${kind}_${this.#names++}`;
  }

  #weightName(wanted: string): string {
    let name = wanted;
    for (let copy = 2; this.#weightNames.has(name); copy++) name = `${wanted}#${copy}`;
    this.#weightNames.add(name);
    return name;
  }
}

function isInteger(dtype: WeightDtype): boolean {
  return !dtype.startsWith('F') && dtype !== 'BF16';
}

/** A copy of the bytes, so that a constant does not change when its tensor is disposed and its memory used again. */
function bytesOf(values: Values | BigInt64Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
}
