import type { Weight } from '@blip2/core';
import type { QuantizationPolicy } from '../passes/place-weights.ts';
import type { QuantizedForm } from '../passes/quantized-product.ts';

/** Number formats of frozen weights in a compiled function. */
export type CompiledDtype = 'fp32' | 'int8' | 'int4';

/** How many rows go through each product of a function in one call; `never` leaves its weights in float32. */
export type RowCount = 'never' | 'few-rows' | 'many-rows';

/** The numbers of weights that {@link quantizationPolicy} goes by. */
export const QUANTIZATION = {
  /**
   * Columns that share a scale. 128 is the fastest for 8 bits on the machines measured (100 GOP at one row against 55 with 32); 4 bits
   * need the finer 32 for their accuracy.
   */
  blockSize: { 8: 128, 4: 32 },
  /** Matrices of fewer weights stay in float32: they cost little, and heads decide much. */
  smallestMatrix: 65_536,
} as const;

/** Whether a matrix is worth quantising. */
export function isLargeMatrix({ shape: [outputs = 0, inputs = 0] }: Weight): boolean {
  return outputs * inputs >= QUANTIZATION.smallestMatrix;
}

/**
 * How the products of a function are quantised where nothing was measured: block by block, which holds outliers in place. One scale for all
 * activations is twice as fast with many rows and only safe where {@link measureForms} has seen the activations.
 */
export function quantizationPolicy(dtype: CompiledDtype, rows: RowCount): QuantizationPolicy {
  if (dtype === 'fp32' || rows === 'never') return () => undefined;
  const form = blocksOf(dtype === 'int8' ? 8 : 4);
  return (weight) => (isLargeMatrix(weight) ? form : undefined);
}

/** Blocks of the size that suits a number of bits. */
export function blocksOf(bits: 8 | 4): QuantizedForm & { readonly kind: 'blocks' } {
  return { kind: 'blocks', bits, blockSize: QUANTIZATION.blockSize[bits] };
}
