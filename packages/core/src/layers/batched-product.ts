import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { tidy } from '../tensor-scope.ts';

/** Multiplications in one matrix of the batch from which a product of its own is worth its overhead. */
const WORTH_SPLITTING = 65_536;

/**
 * a·b, or a·bᵀ, for each matrix of a batch.
 *
 * The wasm backend multiplies batches with a plain loop (2 GF) and single matrices with a fast kernel, so there
 * large matrices go one by one: 21 ms against 152 ms for the attention of one ViT-g layer (16 heads, 257 tokens).
 *
 * @param a - `[batch, heads, rows, inner]`; where it has 1 in the place of `batch` or `heads`, it meets all of b's matrices there.
 * @param b - `[batch, heads, inner, columns]`, or `[batch, heads, columns, inner]` when `transposeB`; as a, where it has 1.
 * @returns `[batch, heads, rows, columns]`
 */
export function batchedProduct(a: Tensor4D, b: Tensor4D, transposeB = false): Tensor4D {
  const [, , rows, inner] = a.shape;
  const columns = transposeB ? b.shape[2] : b.shape[3];
  if (tf.getBackend() !== 'wasm' || rows * inner * columns < WORTH_SPLITTING) return tf.matMul(a, b, false, transposeB);
  return tidy(() => {
    const [batch, heads] = [Math.max(a.shape[0], b.shape[0]), Math.max(a.shape[1], b.shape[1])];
    const all = (x: Tensor4D): Tensor2D[] =>
      matricesOf(tf.reshape(repeated(x, batch, heads), [batch * heads, x.shape[2], x.shape[3]]));
    const lefts = all(a); // batch·heads × [rows, inner]
    const rights = all(b); // batch·heads × [inner, columns] or its transpose
    const products = lefts.map((left, index) => tf.matMul(left, transposeB ? tf.transpose(rights[index]!) : rights[index]!)); // [rows, columns]
    return tf.reshape(tf.stack(products), [batch, heads, rows, columns]) as Tensor4D; // [batch, heads, rows, columns]
  });
}

/** `[batch or 1, heads or 1, rows, columns]` → `[batch, heads, rows, columns]` */
function repeated(x: Tensor4D, batch: number, heads: number): Tensor4D {
  const times = [batch / x.shape[0], heads / x.shape[1], 1, 1];
  return times.every((count) => count === 1) ? x : tf.tile(x, times); // [batch, heads, rows, columns]
}

/**
 * The matrices of a batch. A slice on wasm copies all of its input first, so the batch is halved again and again
 * instead of being cut into pieces at once: 67 ms against 1060 ms for 192 keys of 257×88.
 *
 * @param batch - `[count, rows, columns]`
 * @returns count × `[rows, columns]`
 */
function matricesOf(batch: Tensor3D): Tensor2D[] {
  const [count, rows, columns] = batch.shape;
  if (count === 1) return [tf.reshape(batch, [rows, columns]) as Tensor2D]; // [rows, columns]
  const half = count >> 1;
  const [first, second] = tf.split(batch, [half, count - half]) as [Tensor3D, Tensor3D]; // [half, rows, columns], [count − half, rows, columns]
  return [...matricesOf(first), ...matricesOf(second)];
}
