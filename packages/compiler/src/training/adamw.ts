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

/** The numbers of a step as the update multiplies with them; see {@link adamWFactors}. */
export interface AdamWFactors extends AdamWStep {
  /** β₁ and β₂: how much of a moment stays. */
  readonly kept: readonly [first: Scalar, second: Scalar];
  /** 1 − β₁ and 1 − β₂: how much is added to it. */
  readonly added: readonly [first: Scalar, second: Scalar];
}

/**
 * The factors of a step that is taken, or of one that changes nothing: with gradients of 0, parameters and moments stay to the bit.
 *
 * @param isTaken - A boolean scalar.
 */
export function adamWFactors(step: AdamWStep, { betas }: Required<AdamWOptions>, isTaken: Tensor): AdamWFactors {
  const orElse = (value: Scalar | number, otherwise: number): Scalar => tf.where(isTaken, value, otherwise) as Scalar;
  const [first, second] = betas;
  return {
    rate: orElse(step.rate, 0),
    epsilon: step.epsilon,
    decay: orElse(step.decay, 1),
    kept: [orElse(first, 1), orElse(second, 1)],
    added: [orElse(1 - first, 0), orElse(1 - second, 0)],
  };
}

/** How a parameter differs from others. */
export interface AdamWGroup {
  /** Whether it loses weight; norms and biases usually do not. */
  readonly decays: boolean;
  /** What its learning rate is multiplied with, in the decay too. */
  readonly rateScale: number;
}

/**
 * One step of AdamW for one parameter.
 *
 * @param gradient - Before clipping.
 * @param clip - What the gradient is multiplied with: 1, or less where the norm of all gradients is too large.
 * @returns new tensors, the caller's.
 *
 * Source: Decoupled weight decay regularization (arXiv 1711.05101), algorithm 2; `torch.optim.AdamW`.
 */
export function adamW(
  { parameter, first, second }: AdamWState,
  gradient: Tensor,
  clip: Scalar,
  { rate, epsilon, decay, kept, added }: AdamWFactors,
  { decays, rateScale }: AdamWGroup,
): AdamWState {
  const nextFirst = tf.add(tf.mul(first, kept[0]), tf.mul(gradient, tf.mul(clip, added[0])));
  const nextSecond = tf.add(tf.mul(second, kept[1]), tf.mul(tf.square(gradient), tf.mul(tf.square(clip), added[1])));
  const ownRate = rateScale === 1 ? rate : tf.mul(rate, rateScale);
  const ownDecay = rateScale === 1 ? decay : tf.sub(1, tf.mul(tf.sub(1, decay), rateScale));
  const change = tf.mul(tf.div(nextFirst, tf.add(tf.sqrt(nextSecond), epsilon)), ownRate);
  return { parameter: tf.sub(decays ? tf.mul(parameter, ownDecay) : parameter, change), first: nextFirst, second: nextSecond };
}
