import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { ShapeError } from '../errors.ts';
import { tidy } from '../tensor-scope.ts';

/** Weights of one linear layer, in checkpoint layout. */
export interface LinearParams {
  readonly weight: Tensor2D; // [out, in]
  readonly bias?: Tensor1D; //  [out]
}

/**
 * y = x·Wᵀ + b
 *
 * @param x - `[..., in]`, rank 2 or more.
 * @returns `[..., out]`
 * @throws {ShapeError} when `x` is not as wide as the weight takes.
 */
export function linear<X extends Tensor>({ weight, bias }: LinearParams, x: X): X {
  const [outputs, inputs] = weight.shape;
  if (x.shape.at(-1) !== inputs) {
    const message = `linear: x is [${x.shape.join(', ')}], expected [..., ${inputs}], because the weight is [${outputs}, ${inputs}].`;
    throw new ShapeError(message, x.shape, ['...', inputs]);
  }
  return tidy(() => {
    const rows = tf.reshape(x, [-1, inputs]) as Tensor2D; // [rows, in]
    const y = matMulTransposed(rows, weight); // [rows, out]
    return tf.reshape(bias ? tf.add(y, bias) : y, [...x.shape.slice(0, -1), outputs]) as unknown as X; // [..., out]
  });
}

/**
 * Numbers of x that are packed at once: with more, the packed copy leaves the processor's cache. 1028×6144 by 1408×6144
 * takes 0.75 s in four pieces of 257 rows, 1.4 s in one.
 */
const PACKED_NUMBERS = 1_600_000;

/**
 * x·Wᵀ for a weight in `[out, in]` layout.
 *
 * The wasm backend has a fast kernel only for untransposed products, and that kernel packs a second copy of
 * its right operand and keeps it. (W·xᵀ)ᵀ is the same product: the activations are transposed and packed, the
 * weights are neither. Measured at 257×1408×6144: 25 GF against 2 GF for the transposing product.
 */
function matMulTransposed(x: Tensor2D, weight: Tensor2D): Tensor2D {
  if (tf.getBackend() !== 'wasm') return tf.matMul(x, weight, false, true); // [rows, out]
  const [rows, inputs] = x.shape;
  if (rows > 1 && rows * inputs > PACKED_NUMBERS) {
    const half = rows >> 1;
    const halves = tf.split(x, [half, rows - half]) as Tensor2D[]; // [half, in], [rows − half, in]
    return tf.concat(
      halves.map((part) => matMulTransposed(part, weight)),
      0,
    ); // [rows, out]
  }
  return tf.transpose(tf.matMul(weight, tf.transpose(x))); // [rows, out]
}

/**
 * Rows of a table by index.
 *
 * @param table - `[entries, width]`
 * @param ids - int32 `[batch, tokens]`
 * @returns `[batch, tokens, width]`
 */
export function embed(table: Tensor2D, ids: Tensor2D): Tensor3D {
  return tf.gather(table, ids) as unknown as Tensor3D; // [batch, tokens, width]
}
