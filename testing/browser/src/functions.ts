import type { HostTensor, InputSpecs } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor2D } from '@tensorflow/tfjs-core';

/** What {@link energyWithGradient} takes. */
export interface Layer {
  readonly x: Tensor2D; //      [rows, 3]
  readonly weight: Tensor2D; // [3, 2]
}

/** A function of ten lines and its gradient. */
export function energyWithGradient({ x, weight }: Layer): { value: Tensor; gradient: Tensor } {
  const energy = (matrix: Tensor): Scalar => {
    const hidden = tf.tanh(tf.matMul(x, matrix as Tensor2D)); // [rows, 2]
    const shifted = tf.add(hidden, tf.scalar(0.5));
    const gates = tf.sigmoid(tf.mul(shifted, 2));
    return tf.sum(tf.square(tf.mul(gates, hidden)));
  };
  const { value, grad } = tf.valueAndGrad(energy)(weight);
  return { value, gradient: grad };
}

/** Parameters of {@link regressionLoss}. */
export interface Regression {
  readonly hidden: Tensor2D; // [4, 4]
  readonly output: Tensor2D; // [4, 2]
}

/** A batch for {@link regressionLoss}. */
export interface RegressionBatch {
  readonly x: Tensor2D; // [8, 4]
  readonly y: Tensor2D; // [8, 2]
}

/** A small loss to train with. */
export function regressionLoss({ hidden, output }: Regression, { x, y }: RegressionBatch): { loss: Scalar; largest: Scalar } {
  const errors = tf.sub(tf.matMul(tf.tanh(tf.matMul(x, hidden)), output), y); // [8, 2]
  return { loss: tf.sum(tf.square(errors)), largest: tf.max(tf.abs(errors)) };
}

/** Numbers between −1 and 1 without a pattern, the same ones everywhere. */
export function values(shape: readonly number[], seed: number): { shape: number[]; data: Float32Array } {
  const length = shape.reduce((product, size) => product * size, 1);
  return {
    shape: [...shape],
    data: Float32Array.from({ length }, (_, index) => Math.sin(12.9898 * (index + 1) + 78.233 * seed)),
  };
}

/** Where training starts, and what it learns from. */
export const REGRESSION: {
  readonly params: { readonly hidden: HostTensor; readonly output: HostTensor };
  readonly batch: { readonly x: HostTensor; readonly y: HostTensor };
  readonly specs: InputSpecs<RegressionBatch>;
  readonly options: { readonly weightDecay: number; readonly clipNorm: number };
} = {
  params: { hidden: values([4, 4], 1), output: values([4, 2], 2) },
  batch: { x: values([8, 4], 3), y: values([8, 2], 4) },
  specs: { x: { shape: [8, 4] }, y: { shape: [8, 2] } },
  options: { weightDecay: 0.05, clipNorm: 1 },
};
