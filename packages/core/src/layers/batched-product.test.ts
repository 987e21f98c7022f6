import * as tf from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { batchedProduct } from './batched-product.ts';

it.each([
  { rows: 3, inner: 4, columns: 5 }, // below the threshold
  { rows: 70, inner: 40, columns: 50 }, // above it
])('equals the batched kernel for $rows×$inner×$columns', ({ rows, inner, columns }) => {
  const a = tf.randomNormal([2, 3, rows, inner], 0, 1, 'float32', 1) as tf.Tensor4D;
  const b = tf.randomNormal([2, 3, inner, columns], 0, 1, 'float32', 2) as tf.Tensor4D;
  const expected = tf.matMul(a, b);
  expect(batchedProduct(a, b)).toBeAllclose(expected, 1e-5);
  expect(batchedProduct(a, tf.transpose(b, [0, 1, 3, 2]), true)).toBeAllclose(expected, 1e-5);
});
