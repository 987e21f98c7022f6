import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';

/** The transpose of each matrix: `[batch, heads, rows, columns]` → `[batch, heads, columns, rows]`. */
export function swapped(x: Tensor4D): Tensor4D {
  return tf.transpose(x, [0, 1, 3, 2]);
}
