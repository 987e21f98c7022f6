import { type RunOptions, sizeOf, type Weight, type WeightDtype, type WeightLocation } from '@blip2/core';
import { ONNX_TYPE_BYTES, type OnnxInitializer, type OnnxType } from '../onnx/graph.ts';

/**
 * The forms in which a graph may want a weight:
 * - `stored`: as it lies in its file, in 16 bits perhaps;
 * - `values`: as 32-bit numbers, row-major;
 * - `blocks`: quantised row by row in blocks, for `MatMulNBits`: two parts, `codes` and `scales`;
 * - `columns`: quantised with one scale a column, transposed, for `DynamicQuantizeMatMul`: two parts, `codes` `[in, out]` and `scales` `[out]`.
 */
export type WeightForm =
  | { readonly kind: 'stored' }
  | { readonly kind: 'values' }
  | ({ readonly kind: 'blocks'; readonly bits: 8 | 4; readonly blockSize: number } & ScaledInputs)
  | ({ readonly kind: 'columns' } & ScaledInputs);

/** A quantised form may move the range of single inputs from the activations into the matrix. */
export interface ScaledInputs {
  /**
   * One whole number e for each input: the matrix is multiplied by 2^e along it before it is quantised, and the graph multiplies the activation by 2^−e.
   * Powers of two, so that nothing but the rounding to whole numbers changes. @default zeros
   */
  readonly inputExponents?: readonly number[];
}

/** A wish for one weight. */
export interface WeightRequest {
  /** Names of the initializers: one, or those of codes and scales. */
  readonly names: readonly string[];
  readonly weight: Weight;
  readonly form: WeightForm;
}

/** The parts of a weight in a form. */
export interface WeightPart {
  readonly type: OnnxType;
  readonly shape: readonly number[];
}

/**
 * Where graphs find their weights. In Node these are files that ONNX Runtime maps: the checkpoint's own, or a cache of converted
 * ones; in browsers, memory.
 */
export interface WeightStore {
  /**
   * Makes weights available in the wished forms, converting each at most once, ever.
   * @returns the initializers of all requests, in order.
   */
  place(requests: readonly WeightRequest[], options?: RunOptions): Promise<OnnxInitializer[]>;
  /** Bytes that `place` gave the location of. Absent where it gives the bytes themselves. */
  read?(location: WeightLocation): Promise<Uint8Array>;
  /** Takes back what `place` gave for these requests: the graph that was made with it is gone. Absent where nothing is held. */
  release?(requests: readonly WeightRequest[]): void;
}

/** Formats of safetensors that ONNX has. */
export const STORED_TYPES: Readonly<Partial<Record<WeightDtype, OnnxType>>> = {
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I32: 'int32',
  I8: 'int8',
  U8: 'uint8',
};

/** A matrix that is stored quantised as wished is two weights, each used as it is. */
export function splitQuantized(request: WeightRequest): WeightRequest[] {
  const { names, weight, form } = request;
  const { quantized } = weight;
  if (form.kind !== 'blocks' || quantized?.bits !== form.bits || quantized.blockSize !== form.blockSize) return [request];
  return [
    { names: [names[0]!], weight: quantized.codes, form: { kind: 'stored' } },
    { names: [names[1]!], weight: quantized.scales, form: { kind: 'values' } },
  ];
}

/** Bytes of a request's parts. */
export function bytesOf({ weight, form }: WeightRequest): number {
  const type = form.kind === 'stored' ? (STORED_TYPES[weight.dtype] ?? 'float32') : 'float32';
  return partsOf(weight, form, type).reduce((sum, part) => sum + sizeOf(part.shape) * ONNX_TYPE_BYTES[part.type], 0);
}

/** Types and shapes of a weight's parts in a form. @param type - Of the stored values. */
export function partsOf({ shape }: Pick<Weight, 'shape'>, form: WeightForm, type: OnnxType): WeightPart[] {
  const [rows = 1, columns = 1] = shape;
  switch (form.kind) {
    case 'stored':
      return [{ type, shape }];
    case 'values':
      return [{ type: type === 'int32' ? 'int32' : 'float32', shape }];
    case 'blocks': {
      const blocks = Math.ceil(columns / form.blockSize);
      return [
        { type: 'uint8', shape: [rows, blocks, (form.blockSize * form.bits) / 8] },
        { type: 'float32', shape: [rows, blocks] },
      ];
    }
    case 'columns':
      return [
        { type: 'int8', shape: [columns, rows] },
        { type: 'float32', shape: [rows] },
      ];
  }
}
