import { InputError } from '@blip2/core';
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import { flattenTree, mapTree } from '../tree.ts';
import { adamW, adamWDefaults, adamWFactors, type AdamWOptions, type AdamWState, type AdamWStep } from './adamw.ts';

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

/** What a batch needs to add its gradients to a sum. */
export interface GradientInputs<Params, Batch> {
  readonly params: Params;
  /** Of the batches before; anything of the right shapes where there are none. */
  readonly sums: Params;
  readonly batch: Batch;
  /** 1 where the sums count, 0 for the first batch of a step. */
  readonly goesOn: Scalar;
}

/** What it gives. */
export interface GradientOutputs<Params> {
  readonly sums: Params;
  readonly metrics: LossAndMetrics;
}

/** What a step with gradients of several batches takes. */
export interface UpdateInputs<Params> extends Omit<StepInputs<Params, unknown>, 'batch'> {
  readonly sums: Params;
  /** What the sums are multiplied with: one by the number of batches. */
  readonly share: Scalar;
  /** 0, or NaN where a loss or another metric of a batch is not a finite number. */
  readonly fault: Scalar;
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
  return ({ batch, ...state }, frozen) => {
    const { gradients, metrics } = differentiate(loss, state.params, batch, frozen);
    const { gradientNorm, ...next } = applyGradients(state, gradients, Object.values(metrics), options);
    return { ...next, metrics, gradientNorm };
  };
}

/**
 * The first half of a step of several batches, once for each: forward, backward, and the gradients added to those before. Each sum is
 * read by its own successor alone, so a runtime may write it over the old one.
 */
export function gradientFunction<Params, Batch, Frozen>(
  loss: LossFunction<Params, Batch, Frozen>,
): (inputs: GradientInputs<Params, Batch>, frozen: Frozen) => GradientOutputs<Params> {
  return ({ params, sums, batch, goesOn }, frozen) => {
    const { gradients, metrics } = differentiate(loss, params, batch, frozen);
    const counts = tf.greater(goesOn, 0); // not a product: 0 times what is not finite is not 0
    const next = flattenTree<Tensor>(sums).map(({ leaf }, index) => {
      const gradient = gradients[index]!;
      return tf.where(counts, tf.add(leaf, gradient), gradient);
    });
    return { sums: replaceLeaves(params, next), metrics };
  };
}

/** The second half, once: the mean of the gradients, clipping, AdamW. It changes nothing where {@link trainingFunction} would not. */
export function updateFunction<Params>(
  options: OptimizerOptions = {},
): (inputs: UpdateInputs<Params>) => Omit<StepOutputs<Params>, 'metrics'> {
  return ({ sums, share, fault, ...state }) => {
    const gradients = flattenTree<Tensor>(sums).map(({ leaf }) => tf.mul(leaf, share));
    return applyGradients(state, gradients, [fault], options);
  };
}

/** Clipping and AdamW. @param reported - Nothing changes where one of these, or a gradient, is not finite. */
function applyGradients<Params>(
  { params, first, second, step }: Omit<StepInputs<Params, unknown>, 'batch'>,
  gradients: readonly Tensor[],
  reported: readonly Scalar[],
  options: OptimizerOptions,
): Omit<StepOutputs<Params>, 'metrics'> {
  const settings = adamWDefaults(options);
  const { clipNorm, decays = (_: string, shape: readonly number[]) => shape.length > 1, rateScale = () => 1 } = options;
  const moments = [first, second].map((tree) => flattenTree<Tensor>(tree).map(({ leaf }) => leaf)) as [Tensor[], Tensor[]];
  const norm = tf.sqrt(gradients.map((gradient) => tf.sum(tf.square(gradient))).reduce(sum)) as Scalar;
  const isFinite = tf.less([norm, ...reported].map(magnitude).reduce(sum), LARGEST); // false for NaN as well
  const clip = tf.where(isFinite, clipNorm === undefined ? 1 : clipFactor(norm, clipNorm), 0) as Scalar;
  const factors = adamWFactors(step, settings, isFinite);
  const next = flattenTree<Tensor>(params).map(({ path, leaf }, index) => {
    const state = { parameter: leaf, first: moments[0][index]!, second: moments[1][index]! };
    const gradient = tf.where(isFinite, gradients[index]!, 0);
    const group = { decays: decays(path, leaf.shape), rateScale: rateScale(path, leaf.shape) };
    return adamW(state, gradient, clip, factors, group);
  });
  const treeOf = (kind: keyof AdamWState): Params =>
    replaceLeaves(
      params,
      next.map((state) => state[kind]),
    );
  return { params: treeOf('parameter'), first: treeOf('first'), second: treeOf('second'), gradientNorm: norm };
}

function replaceLeaves<Tree>(tree: Tree, tensors: readonly Tensor[]): Tree {
  return mapTree(tree, (_, index) => tensors[index]) as Tree;
}

/** Gradients of the loss by leaf, and everything that the loss function reports. */
function differentiate<Params, Batch, Frozen>(
  loss: LossFunction<Params, Batch, Frozen>,
  params: Params,
  batch: Batch,
  frozen: Frozen,
): { gradients: Tensor[]; metrics: LossAndMetrics } {
  let metrics: LossAndMetrics | undefined;
  const { value, grads } = tf.valueAndGrads((...tensors: Tensor[]) => {
    metrics = loss(replaceLeaves(params, tensors), batch, frozen);
    for (const metric of Object.values(metrics)) tf.keep(metric);
    if (metrics.loss === undefined || metrics.loss.size !== 1) {
      throw new InputError(
        `The loss function returns ${Object.keys(metrics).join(', ') || 'nothing'}, expected an object with a scalar 'loss'. Reduce it with tf.mean.`,
      );
    }
    return metrics.loss;
  })(flattenTree<Tensor>(params).map(({ leaf }) => leaf));
  const { loss: kept, ...others } = metrics!;
  if (kept !== value) kept.dispose();
  return { gradients: grads, metrics: { ...mapValues(others, released), loss: released(value as Scalar) } };
}

/** The same scalar, which whoever tidies up may dispose again. */
function released(kept: Scalar): Scalar {
  const scalar = tf.clone(kept);
  kept.dispose();
  return scalar;
}

function mapValues<Value>(values: Readonly<Record<string, Value>>, change: (value: Value) => Value): Record<string, Value> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, change(value)]));
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
