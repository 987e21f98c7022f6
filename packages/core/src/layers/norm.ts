import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D } from '@tensorflow/tfjs-core';
import { tidy } from '../tensor-scope.ts';

/** Weights of a layer norm. */
export interface LayerNormParams {
  readonly weight: Tensor1D; // [width]
  readonly bias: Tensor1D; //   [width]
}

/** Weights of a root-mean-square norm. */
export interface RmsNormParams {
  readonly weight: Tensor1D; // [width]
}

/**
 * (x − mean) / √(variance + ε) · weight + bias over the last axis; the variance is the biased one.
 * @param x - `[..., width]`
 */
export function layerNorm<X extends Tensor>({ weight, bias }: LayerNormParams, x: X, epsilon: number): X {
  return tidy(() => {
    const centred = tf.sub(x, tf.mean(x, -1, true)); // [..., width]
    const variance = tf.mean(tf.square(centred), -1, true); // [..., 1]
    const normalised = tf.mul(centred, tf.rsqrt(tf.add(variance, epsilon))); // [..., width]
    return tf.add(tf.mul(normalised, weight), bias) as X;
  });
}

/**
 * x / √(mean(x²) + ε) · weight over the last axis: no mean is taken out, nothing is added. T5's norm.
 * @param x - `[..., width]`
 */
export function rmsNorm<X extends Tensor>({ weight }: RmsNormParams, x: X, epsilon: number): X {
  return tidy(() => {
    const meanSquare = tf.mean(tf.square(x), -1, true); // [..., 1]
    return tf.mul(tf.mul(x, tf.rsqrt(tf.add(meanSquare, epsilon))), weight) as X;
  });
}

/**
 * x / max(‖x‖₂, 1e-12) over the last axis; a zero vector stays zero.
 * Source: `torch.nn.functional.normalize`. The bound lies under the root, where the gradient of 0 is 0, not NaN.
 */
export function l2Normalize<X extends Tensor>(x: X): X {
  return tidy(() => {
    const squaredNorm = tf.sum(tf.square(x), -1, true); // [..., 1]
    return tf.div(x, tf.sqrt(tf.maximum(squaredNorm, 1e-24))) as X;
  });
}
