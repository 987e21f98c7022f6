import type { Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';

/** Source: BLIP-2 (arXiv 2301.12597), section 4.1. */
export const ADAMW = { learningRate: 1e-4, betas: [0.9, 0.98], epsilon: 1e-8, weightDecay: 0.05 } as const;

/** Negatives are the next image and the next text, so that both sides of the benchmark compute the same numbers. @returns int32 `[batch]` */
export function nextIndices(batch: number): Tensor1D {
  return tf.tensor1d(
    Array.from({ length: batch }, (_, row) => (row + 1) % batch),
    'int32',
  );
}

/** Row `i` of the result is row `i + 1`, and the last is the first. */
export function nextRows<X extends Tensor2D | Tensor3D>(x: X): X {
  const rest = x.shape.slice(1);
  const zeros = rest.map(() => 0);
  const first = tf.slice(x, [0, ...zeros], [1, ...rest]);
  return tf.concat([tf.slice(x, [1, ...zeros], [x.shape[0] - 1, ...rest]), first], 0) as unknown as X; // as x
}
