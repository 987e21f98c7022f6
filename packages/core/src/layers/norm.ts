import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D } from '@tensorflow/tfjs-core';
import { tidy } from '../tensor-scope.ts';
import { type FusedOperation, runFused } from './fused-kernel.ts';

/** Weights of a layer norm. */
export interface LayerNormParams {
  readonly weight: Tensor1D; // [width]
  readonly bias: Tensor1D; //   [width]
}

/** Weights of a root-mean-square norm. */
export interface RmsNormParams {
  readonly weight: Tensor1D; // [width]
}

interface NormAttributes {
  readonly epsilon: number;
}

const LAYER_NORM: FusedOperation<{ readonly x: Tensor } & LayerNormParams, NormAttributes> = {
  kernel: 'FusedLayerNorm',
  inputs: ['x', 'weight', 'bias'],
  saved: ['x', 'weight'],
  compute: ({ x, weight, bias }, { epsilon }) => tf.add(tf.mul(standardised(x, epsilon).values, weight), bias), // [..., width]
  gradients: (dy, { x, weight }, { epsilon }) => ({
    x: () => {
      const { values, inverseDeviation } = standardised(x, epsilon); // [..., width], [..., 1]
      const g = tf.mul(dy, weight); // [..., width]
      const along = tf.mul(values, tf.mean(tf.mul(g, values), -1, true)); // [..., width]
      return tf.mul(tf.sub(tf.sub(g, tf.mean(g, -1, true)), along), inverseDeviation); // [..., width]
    },
    weight: () => sumOfRows(tf.mul(dy, standardised(x, epsilon).values)), // [width]
    bias: () => sumOfRows(dy), // [width]
  }),
};

/** (x − mean) / √(variance + ε) over the last axis, and 1 / √(variance + ε). */
function standardised(x: Tensor, epsilon: number): { values: Tensor; inverseDeviation: Tensor } {
  const centred = tf.sub(x, tf.mean(x, -1, true)); // [..., width]
  const variance = tf.mean(tf.square(centred), -1, true); // [..., 1]
  const inverseDeviation = tf.rsqrt(tf.add(variance, epsilon)); // [..., 1]
  return { values: tf.mul(centred, inverseDeviation), inverseDeviation };
}

/** `[..., width]` → `[width]` */
function sumOfRows(x: Tensor): Tensor1D {
  return tf.sum(tf.reshape(x, [-1, x.shape.at(-1)!]), 0); // [width]
}

/**
 * (x − mean) / √(variance + ε) · weight + bias over the last axis; the variance is the biased one.
 * @param x - `[..., width]`
 */
export function layerNorm<X extends Tensor>({ weight, bias }: LayerNormParams, x: X, epsilon: number): X {
  return runFused(LAYER_NORM, { x, weight, bias }, { epsilon });
}

const RMS_NORM: FusedOperation<{ readonly x: Tensor } & RmsNormParams, NormAttributes> = {
  kernel: 'FusedRmsNorm',
  inputs: ['x', 'weight'],
  saved: ['x', 'weight'],
  compute: ({ x, weight }, { epsilon }) => tf.mul(tf.mul(x, inverseRootMeanSquare(x, epsilon)), weight), // [..., width]
  gradients: (dy, { x, weight }, { epsilon }) => ({
    x: () => {
      const inverse = inverseRootMeanSquare(x, epsilon); // [..., 1]
      const values = tf.mul(x, inverse); // [..., width]
      const g = tf.mul(dy, weight); // [..., width]
      return tf.mul(tf.sub(g, tf.mul(values, tf.mean(tf.mul(g, values), -1, true))), inverse); // [..., width]
    },
    weight: () => sumOfRows(tf.mul(dy, tf.mul(x, inverseRootMeanSquare(x, epsilon)))), // [width]
  }),
};

/** 1 / √(mean(x²) + ε): `[..., width]` → `[..., 1]` */
function inverseRootMeanSquare(x: Tensor, epsilon: number): Tensor {
  return tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon)); // [..., 1]
}

/**
 * x / √(mean(x²) + ε) · weight over the last axis: no mean is taken out, nothing is added. T5's norm.
 * @param x - `[..., width]`
 */
export function rmsNorm<X extends Tensor>({ weight }: RmsNormParams, x: X, epsilon: number): X {
  return runFused(RMS_NORM, { x, weight }, { epsilon });
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
