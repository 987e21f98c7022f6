import type { Weight } from '@blip2/core';
import type { QuantizationPolicy } from '../passes/place-weights.ts';

/** Number formats of frozen weights in a compiled function. */
export type CompiledDtype = 'fp32' | 'int8' | 'int4';

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

/**
 * How the products of a function are quantised.
 *
 * @param rows - How many rows go through each product in one call: for `few`, block by block, which holds outliers in place
 *   and is fastest for few rows; for `many`, with one scale a column, which is the fastest there.
 */
export function quantizationPolicy(dtype: CompiledDtype, rows: 'never' | 'few-rows' | 'many-rows'): QuantizationPolicy {
  if (dtype === 'fp32' || rows === 'never') return () => undefined;
  const bits = dtype === 'int8' ? 8 : 4;
  return ({ shape: [outputs = 0, inputs = 0] }: Weight) => {
    if (outputs * inputs < QUANTIZATION.smallestMatrix) return undefined;
    if (rows === 'many-rows' && bits === 8) return { kind: 'columns' };
    return { kind: 'blocks', bits, blockSize: QUANTIZATION.blockSize[bits] };
  };
}
