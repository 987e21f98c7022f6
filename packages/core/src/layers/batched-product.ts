import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { tidy } from '../tensor-scope.ts';

/** Multiplications in one matrix of the batch from which a product of its own is worth its overhead. */
const WORTH_SPLITTING = 65_536;

/**
 * a·b, or a·bᵀ, for each matrix of a batch.
 *
 * The wasm backend multiplies batches with a plain loop (2 GF) and single matrices with a fast kernel, so there
 * large matrices go one by one: 21 ms against 152 ms for the attention of one ViT-g layer (16 heads, 257 tokens).
 *
 * @param a - `[batch, heads, rows, inner]`
 * @param b - `[batch, heads, inner, columns]`, or `[batch, heads, columns, inner]` when `transposeB`
 * @returns `[batch, heads, rows, columns]`
 */
export function batchedProduct(a: Tensor4D, b: Tensor4D, transposeB = false): Tensor4D {
  const [batch, heads, rows, inner] = a.shape;
  const columns = transposeB ? b.shape[2] : b.shape[3];
  if (tf.getBackend() !== 'wasm' || rows * inner * columns < WORTH_SPLITTING) return tf.matMul(a, b, false, transposeB);
  return tidy(() => {
    const lefts = tf.unstack(tf.reshape(a, [batch * heads, rows, inner])) as Tensor2D[]; // batch·heads × [rows, inner]
    const rights = tf.unstack(tf.reshape(b, [batch * heads, b.shape[2], b.shape[3]])) as Tensor2D[]; // batch·heads × [inner, columns] or its transpose
    const products = lefts.map((left, index) => tf.matMul(left, transposeB ? tf.transpose(rights[index]!) : rights[index]!)); // [rows, columns]
    return tf.reshape(tf.stack(products), [batch, heads, rows, columns]) as Tensor4D; // [batch, heads, rows, columns]
  });
}
