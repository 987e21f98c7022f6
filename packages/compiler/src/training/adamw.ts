import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';

/** Numbers of AdamW that do not change from step to step. */
export interface AdamWOptions {
  /** How much of the moments stays at each step. @default [0.9, 0.999] */
  readonly betas?: readonly [first: number, second: number];
  /** Added to the root of the second moment. @default 1e-8 */
  readonly epsilon?: number;
  /** Share of a parameter that goes at each step, times the learning rate. @default 0.01 */
  readonly weightDecay?: number;
}

/** Numbers that change at each step, as scalars of the graph; {@link adamWSchedule} computes them. */
export interface AdamWStep {
  /** learningRate · √(1 − β₂ᵗ) / (1 − β₁ᵗ) */
  readonly rate: Scalar;
  /** ε · √(1 − β₂ᵗ) */
  readonly epsilon: Scalar;
  /** 1 − learningRate · weightDecay */
  readonly decay: Scalar;
}

/** One parameter with its moments. */
export interface AdamWState {
  readonly parameter: Tensor;
  readonly first: Tensor;
  readonly second: Tensor;
}

/** @param options - Given ones, and the defaults for the others. */
export function adamWDefaults({
  betas = [0.9, 0.999],
  epsilon = 1e-8,
  weightDecay = 0.01,
}: AdamWOptions): Required<AdamWOptions> {
  return { betas, epsilon, weightDecay };
}

/**
 * The numbers of step `count`, in 64 bits.
 *
 * Both sides of m̂ / (√v̂ + ε) are multiplied by √(1 − β₂ᵗ), so that the moments need no correction of their own.
 *
 * @param count - 1 for the first step.
 */
export function adamWSchedule(
  { betas: [first, second], epsilon, weightDecay }: Required<AdamWOptions>,
  count: number,
  learningRate: number,
): { rate: number; epsilon: number; decay: number } {
  const root = Math.sqrt(1 - second ** count);
  return { rate: (learningRate * root) / (1 - first ** count), epsilon: epsilon * root, decay: 1 - learningRate * weightDecay };
}

/**
 * One step of AdamW for one parameter.
 *
 * @param gradient - Before clipping.
 * @param clip - What the gradient is multiplied with: 1, or less where the norm of all gradients is too large.
 * @param decays - Whether the parameter loses weight; norms and biases usually do not.
 * @returns new tensors, the caller's.
 *
 * Source: Decoupled weight decay regularization (arXiv 1711.05101), algorithm 2; `torch.optim.AdamW`.
 */
export function adamW(
  { parameter, first, second }: AdamWState,
  gradient: Tensor,
  clip: Scalar,
  step: AdamWStep,
  { betas }: Required<AdamWOptions>,
  decays: boolean,
): AdamWState {
  const [beta1, beta2] = betas;
  const nextFirst = tf.add(tf.mul(first, beta1), tf.mul(gradient, tf.mul(clip, 1 - beta1)));
  const nextSecond = tf.add(tf.mul(second, beta2), tf.mul(tf.square(gradient), tf.mul(tf.square(clip), 1 - beta2)));
  const change = tf.mul(tf.div(nextFirst, tf.add(tf.sqrt(nextSecond), step.epsilon)), step.rate);
  const kept = decays ? tf.mul(parameter, step.decay) : parameter;
  return { parameter: tf.sub(kept, change), first: nextFirst, second: nextSecond };
}
