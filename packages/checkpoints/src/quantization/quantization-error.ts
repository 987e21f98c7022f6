import { ShapeError } from '@blip2/core';
import { dequantizeBlocks, type QuantizedBlocks } from './quantize-blocks.ts';

/** How far a quantised matrix is from the original. */
export interface QuantizationError {
  /** ‖quantised − original‖ / ‖original‖, Frobenius; 0 where both are zero. */
  readonly relative: number;
  /** The largest difference of a single weight. */
  readonly maxAbs: number;
  /** Σ (quantised − original)², for adding up over matrices. */
  readonly squaredError: number;
  /** Σ original² */
  readonly squaredNorm: number;
}

/**
 * Compares two matrices, such as an original and what is left of it after quantising.
 * @throws {ShapeError} when they differ in length.
 */
export function errorBetween(original: Float32Array, approximation: Float32Array): QuantizationError {
  if (original.length !== approximation.length) {
    const message = `errorBetween: ${original.length} values cannot be compared with ${approximation.length}. Pass two matrices of one shape.`;
    throw new ShapeError(message, [approximation.length], [original.length]);
  }
  let [squaredError, squaredNorm, maxAbs] = [0, 0, 0];
  for (let index = 0; index < original.length; index++) {
    const value = original[index]!;
    const difference = Math.abs(approximation[index]! - value);
    squaredError += difference * difference;
    squaredNorm += value * value;
    if (difference > maxAbs) maxAbs = difference;
  }
  return summarize(squaredError, squaredNorm, maxAbs);
}

/**
 * The error of a matrix quantised in blocks, without making all its float values at once.
 *
 * @param original - `[rows, columns]`, row-major.
 */
export function blockQuantizationError(original: Float32Array, quantized: QuantizedBlocks): QuantizationError {
  const { rows, columns, codes, scales } = quantized;
  const row = new Float32Array(columns);
  const rowBytes = codes.length / rows;
  const blocks = scales.length / rows;
  const perRow: QuantizationError[] = [];
  for (let index = 0; index < rows; index++) {
    const part = {
      ...quantized,
      codes: codes.subarray(index * rowBytes, (index + 1) * rowBytes),
      scales: scales.subarray(index * blocks, (index + 1) * blocks),
    };
    perRow.push(errorBetween(original.subarray(index * columns, (index + 1) * columns), dequantizeBlocks(part, row)));
  }
  return joinErrors(perRow);
}

/** The error of several matrices together. */
export function joinErrors(errors: readonly QuantizationError[]): QuantizationError {
  let [squaredError, squaredNorm, maxAbs] = [0, 0, 0];
  for (const error of errors) {
    squaredError += error.squaredError;
    squaredNorm += error.squaredNorm;
    maxAbs = Math.max(maxAbs, error.maxAbs);
  }
  return summarize(squaredError, squaredNorm, maxAbs);
}

function summarize(squaredError: number, squaredNorm: number, maxAbs: number): QuantizationError {
  return { relative: squaredNorm === 0 ? 0 : Math.sqrt(squaredError / squaredNorm), maxAbs, squaredError, squaredNorm };
}
