import { InputError } from '@blip2/core';
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import { flattenTree, mapTree } from '../tree.ts';
import { adamW, adamWDefaults, adamWFactors, type AdamWOptions, type AdamWStep } from './adamw.ts';

/** What a loss function returns: the loss, and other scalars to report. */
export interface LossAndMetrics {
  readonly loss: Scalar;
  readonly [metric: string]: Scalar;
}

/** A differentiable loss of trained parameters. */
export type LossFunction<Params, Batch, Frozen> = (params: Params, batch: Batch, frozen: Frozen) => LossAndMetrics;

/** How parameters change. */
export interface OptimizerOptions extends AdamWOptions {
  /** The largest norm of all gradients together; larger ones are scaled down. @default no limit */
  readonly clipNorm?: number;
  /** Which parameters lose weight. @default those of two axes and more: not biases, not norms */
  readonly decays?: (path: string, shape: readonly number[]) => boolean;
  /** What the learning rate of a parameter is multiplied with: less in lower layers, where a model is fine-tuned. @default 1 */
  readonly rateScale?: (path: string, shape: readonly number[]) => number;
}

/** What a step takes. */
export interface StepInputs<Params, Batch> {
  readonly params: Params;
  readonly first: Params;
  readonly second: Params;
  readonly batch: Batch;
  readonly step: AdamWStep;
}

/** What it gives. */
export interface StepOutputs<Params> {
  readonly params: Params;
  readonly first: Params;
  readonly second: Params;
  /** The loss function's, before the step. */
  readonly metrics: LossAndMetrics;
  /** Root of the sum of all squared gradients, before clipping. */
  readonly gradientNorm: Scalar;
}

/**
 * A whole training step as a pure function: forward, backward, clipping, AdamW. It runs eagerly as it is, and compiles.
 *
 * Where the loss, another metric or a gradient is not a finite number, parameters and moments stay as they are.
 *
 * No parameter changes before every gradient is known: all updates depend on whether the norm of the gradients and the metrics are
 * finite, so a runtime may write a new parameter over the old one.
 */
export function trainingFunction<Params, Batch, Frozen>(
  loss: LossFunction<Params, Batch, Frozen>,
  options: OptimizerOptions = {},
): (inputs: StepInputs<Params, Batch>, frozen: Frozen) => StepOutputs<Params> {
  const settings = adamWDefaults(options);
  const { clipNorm, decays = (_: string, shape: readonly number[]) => shape.length > 1, rateScale = () => 1 } = options;
  return ({ params, first, second, batch, step }, frozen) => {
    const leaves = flattenTree<Tensor>(params);
    const moments = [first, second].map((tree) => flattenTree<Tensor>(tree).map(({ leaf }) => leaf)) as [Tensor[], Tensor[]];
    const { gradients, metrics } = differentiate(
      (tensors) => loss(replaceLeaves(params, tensors), batch, frozen),
      leaves.map(({ leaf }) => leaf),
    );
    const norm = tf.sqrt(gradients.map((gradient) => tf.sum(tf.square(gradient))).reduce(sum)) as Scalar;
    const isFinite = tf.less([norm, ...Object.values(metrics)].map(magnitude).reduce(sum), LARGEST); // false for NaN as well
    const clip = tf.where(isFinite, clipNorm === undefined ? 1 : clipFactor(norm, clipNorm), 0) as Scalar;
    const factors = adamWFactors(step, settings, isFinite);
    const next = leaves.map(({ path, leaf }, index) => {
      const state = { parameter: leaf, first: moments[0][index]!, second: moments[1][index]! };
      const gradient = tf.where(isFinite, gradients[index]!, 0);
      const group = { decays: decays(path, leaf.shape), rateScale: rateScale(path, leaf.shape) };
      return adamW(state, gradient, clip, factors, group);
    });
    return {
      params: replaceLeaves(
        params,
        next.map(({ parameter }) => parameter),
      ),
      first: replaceLeaves(
        params,
        next.map((state) => state.first),
      ),
      second: replaceLeaves(
        params,
        next.map((state) => state.second),
      ),
      metrics,
      gradientNorm: norm,
    };
  };
}

function replaceLeaves<Tree>(tree: Tree, tensors: readonly Tensor[]): Tree {
  return mapTree(tree, (_, index) => tensors[index]) as Tree;
}

/** Gradients of the loss, and everything that the loss function reports. */
function differentiate(
  compute: (tensors: readonly Tensor[]) => LossAndMetrics,
  leaves: readonly Tensor[],
): { gradients: Tensor[]; metrics: LossAndMetrics } {
  let metrics: LossAndMetrics | undefined;
  const { value, grads } = tf.valueAndGrads((...tensors: Tensor[]) => {
    metrics = compute(tensors);
    for (const metric of Object.values(metrics)) tf.keep(metric);
    if (metrics.loss === undefined || metrics.loss.size !== 1) {
      throw new InputError(
        `The loss function returns ${Object.keys(metrics).join(', ') || 'nothing'}, expected an object with a scalar 'loss'. Reduce it with tf.mean.`,
      );
    }
    return metrics.loss;
  })(leaves.slice());
  return { gradients: grads, metrics: { ...metrics, loss: value as Scalar } };
}

/** min(1, limit / (norm + 1e-6)). Source: `torch.nn.utils.clip_grad_norm_`. */
function clipFactor(norm: Tensor, limit: number): Tensor {
  return tf.minimum(tf.div(limit, tf.add(norm, 1e-6)), 1);
}

/** |scalar|, without axes. */
function magnitude(scalar: Tensor): Tensor {
  return tf.abs(tf.reshape(scalar, []));
}

function sum(a: Tensor, b: Tensor): Tensor {
  return tf.add(a, b);
}

/** Whatever is smaller is a finite number in 32 bits. */
const LARGEST = 3e38;
