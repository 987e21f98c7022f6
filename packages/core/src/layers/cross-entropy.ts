import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { tidy } from '../tensor-scope.ts';
import { type FusedOperation, runFused } from './fused-kernel.ts';

/** A label that carries no loss. Source: PyTorch's `ignore_index`. */
export const IGNORED_LABEL = -100;

/** What {@link softmaxCrossEntropy} does with labels. */
export interface CrossEntropyOptions {
  /** The label of rows without a loss: {@link IGNORED_LABEL}, usually. @default every row has one */
  readonly ignoreIndex?: number;
  /** The share of the probability that is spread over all classes, in [0, 1). @default 0 */
  readonly labelSmoothing?: number;
}

/**
 * −log softmax(logits) at the label of each row, in nats.
 *
 * @param logits - `[rows, classes]`
 * @param labels - int32 `[rows]`, from 0 to classes − 1, or `ignoreIndex`.
 * @returns `[rows]`, 0 where the label is ignored; differentiable in `logits`.
 *
 * Source: `torch.nn.functional.cross_entropy` with `reduction='none'`.
 */
export function softmaxCrossEntropy(logits: Tensor2D, labels: Tensor1D, options: CrossEntropyOptions = {}): Tensor1D {
  return runFused(SOFTMAX_CROSS_ENTROPY, { logits, labels }, options);
}

/**
 * Mean of {@link softmaxCrossEntropy} over the rows that have a label; NaN if none has.
 *
 * @param logits - `[rows, classes]`
 * @param labels - int32 `[rows]`
 * @returns a scalar in nats.
 */
export function meanCrossEntropy(logits: Tensor2D, labels: Tensor1D, options: CrossEntropyOptions = {}): Scalar {
  return tidy(() => {
    const losses = softmaxCrossEntropy(logits, labels, options); // [rows]
    const counted = countedRows(labels, options); // [rows]
    return counted === undefined ? tf.mean(losses) : tf.div(tf.sum(losses), tf.sum(counted));
  });
}

interface CrossEntropyInputs {
  readonly logits: Tensor2D; // [rows, classes]
  readonly labels: Tensor1D; // int32 [rows]
}

const SOFTMAX_CROSS_ENTROPY: FusedOperation<CrossEntropyInputs, CrossEntropyOptions> = {
  kernel: 'FusedSoftmaxCrossEntropy',
  inputs: ['logits', 'labels'],
  saved: ['logits', 'labels'],
  compute: ({ logits, labels }, options) => {
    // As a product, because gather with batch dimensions reads wrong rows on wasm (tfjs 4.22).
    const expected = tf.sum(tf.mul(logits, targets(logits, labels, options)), 1); // [rows]
    return timesCounted(tf.sub(tf.logSumExp(logits, 1), expected), labels, options); // [rows]
  },
  gradients: (dy, { logits, labels }, options) => ({
    logits: () => {
      const weights = tf.reshape(timesCounted(dy, labels, options), [-1, 1]); // [rows, 1]
      return tf.mul(tf.sub(tf.softmax(logits), targets(logits, labels, options)), weights); // [rows, classes]
    },
  }),
};

/** The probabilities that the logits should give; of an ignored row anything finite. @returns `[rows, classes]` */
function targets(logits: Tensor2D, labels: Tensor1D, { labelSmoothing = 0 }: CrossEntropyOptions): Tensor {
  const classes = logits.shape[1];
  const known = tf.maximum(labels, tf.scalar(0, 'int32')); // [rows]; an ignored label is no class
  const labelled = tf.cast(tf.oneHot(known, classes), 'float32'); // [rows, classes]; on wasm its own values are integers
  if (labelSmoothing === 0) return labelled;
  return tf.add(tf.mul(labelled, 1 - labelSmoothing), labelSmoothing / classes); // [rows, classes]
}

/** 1 where a row has a label, 0 where it is ignored; `undefined` when all have one. @returns `[rows]` */
function countedRows(labels: Tensor1D, { ignoreIndex }: CrossEntropyOptions): Tensor | undefined {
  return ignoreIndex === undefined ? undefined : tf.cast(tf.notEqual(labels, tf.scalar(ignoreIndex, 'int32')), 'float32');
}

function timesCounted(values: Tensor, labels: Tensor1D, options: CrossEntropyOptions): Tensor {
  const counted = countedRows(labels, options);
  return counted === undefined ? values : tf.mul(values, counted);
}
