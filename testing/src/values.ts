import * as tf from '@tensorflow/tfjs-core';
import type { Rank, ShapeMap, Tensor } from '@tensorflow/tfjs-core';

/**
 * A tensor of numbers in [−1, 1) that look random and are the same everywhere: every element differs, so a
 * transposed weight or a shifted axis shows.
 */
export function spread<R extends Rank>(shape: ShapeMap[R], seed = 1): Tensor<R> {
  const size = (shape as number[]).reduce((product, axis) => product * axis, 1);
  const values = Float32Array.from({ length: size }, (_, index) => {
    const x = Math.sin((index + 1) * 12.9898 + seed * 78.233) * 43758.5453;
    return 2 * (x - Math.floor(x)) - 1;
  });
  return tf.tensor(values, shape);
}
