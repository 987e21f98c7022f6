/**
 * An ONNX graph as plain data: what tracing builds, passes rewrite, and the writer serialises.
 * Source: ONNX `onnx.proto3`; https://onnx.ai/onnx/repo-docs/IR.html
 */

/** Element types, by their names in ONNX. */
export type OnnxType = 'float32' | 'float16' | 'bfloat16' | 'int64' | 'int32' | 'int8' | 'uint8' | 'bool';

/** `TensorProto.DataType`. */
export const ONNX_TYPE_CODES: Readonly<Record<OnnxType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
};

/** Bytes of one element. */
export const ONNX_TYPE_BYTES: Readonly<Record<OnnxType, number>> = {
  float32: 4,
  uint8: 1,
  int8: 1,
  int32: 4,
  int64: 8,
  bool: 1,
  float16: 2,
  bfloat16: 2,
};

/** A node's setting. Numbers are ambiguous in JavaScript, so floats say that they are. */
export type OnnxAttribute =
  | number
  | readonly number[]
  | string
  | { readonly float: number }
  | { readonly floats: readonly number[] };

/** One operation. An empty input name stands for an optional input that is left out. */
export interface OnnxNode {
  readonly operator: string;
  /** `''` is ONNX's own, `'com.microsoft'` ONNX Runtime's. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
  /** @default the operator and a number */
  readonly name?: string;
  /** For passes; no file has it. */
  readonly product?: ProductSizes;
}

/** What is known of the factors of a product. */
export interface ProductSizes {
  /** Length of the axis that is summed over, the smallest one for any sizes. */
  readonly inner: number;
  /** How many axes the factors have. */
  readonly ranks: readonly [left: number, right: number];
}

/** A constant: its bytes, or a range of a file. Exactly one of `bytes` and `location` is there. */
export interface OnnxInitializer {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly number[];
  /** Little-endian, row-major. */
  readonly bytes?: Uint8Array;
  readonly location?: { readonly file: string; readonly byteOffset: number; readonly byteLength: number };
}

/** An input or output of the graph; named axes have any size. */
export interface OnnxValue {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly (number | string)[];
}

/** A whole graph, its nodes in an order in which they can run. */
export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxInitializer[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}
