import { IGNORED_LABEL, InputError, meanCrossEntropy, softmaxCrossEntropy, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';

/** What language modelling does besides the mean over all tokens. */
export interface NextTokenOptions {
  /** The share of the probability that is spread over all words. @default 0 */
  readonly labelSmoothing?: number;
  /**
   * `[batch]`: one for each row. The loss is then the weighted sum of the rows' own means over the number of rows; answers of
   * VQA are weighted by the share of people who gave them. @default the mean over all tokens of the batch
   */
  readonly weights?: Tensor1D;
  /** What the weighted sum is divided by, where a picture has several rows. @default the number of rows */
  readonly divisor?: number;
}

/**
 * Language modelling: logits at a position predict the label of the next.
 *
 * @param logits - `[batch, tokens, vocab]`
 * @param labels - int32 `[batch, tokens]`, not shifted; `IGNORED_LABEL` where nothing is to be predicted.
 * @returns a scalar in nats; NaN when nothing is to be predicted.
 * @throws {InputError} when shapes do not fit.
 */
export function nextTokenLoss(logits: Tensor3D, labels: Tensor2D, options: NextTokenOptions = {}): Scalar {
  const [batch, tokens, vocab] = logits.shape;
  assertLabels('nextTokenLoss', logits, labels);
  return tidy(() => {
    const predicting = tf.slice(logits, [0, 0, 0], [batch, tokens - 1, vocab]); // [batch, tokens − 1, vocab]
    return tokenLoss(predicting, tf.slice(labels, [0, 1], [batch, tokens - 1]), options);
  });
}

/**
 * The same for a decoder whose inputs are shifted already, as T5's: logits at a position predict the label there.
 *
 * @param logits - `[batch, tokens, vocab]`
 * @param labels - int32 `[batch, tokens]`; `IGNORED_LABEL` where nothing is to be predicted.
 * @throws {InputError} when shapes do not fit.
 */
export function tokenLoss(
  logits: Tensor3D,
  labels: Tensor2D,
  { labelSmoothing, weights, divisor }: NextTokenOptions = {},
): Scalar {
  const [batch, tokens, vocab] = logits.shape;
  assertLabels('tokenLoss', logits, labels);
  const options = { labelSmoothing, ignoreIndex: IGNORED_LABEL };
  return tidy(() => {
    const rows = tf.reshape(logits, [-1, vocab]) as Tensor2D; // [batch·tokens, vocab]
    const flat = tf.reshape(labels, [-1]) as Tensor1D; // [batch·tokens]
    if (weights === undefined) return meanCrossEntropy(rows, flat, options);
    const losses = tf.reshape(softmaxCrossEntropy(rows, flat, options), [batch, tokens]); // [batch, tokens]
    const counted = tf.sum(tf.cast(tf.notEqual(labels, tf.scalar(IGNORED_LABEL, 'int32')), 'float32'), 1); // [batch]
    const means = tf.div(tf.sum(losses, 1), counted); // [batch]
    return tf.div(tf.sum(tf.mul(means, weights)), divisor ?? batch);
  });
}

function assertLabels(name: string, { shape: [batch, tokens] }: Tensor3D, { shape }: Tensor2D): void {
  if (shape[0] === batch && shape[1] === tokens) return;
  throw new InputError(
    `${name}: labels are [${shape.join(', ')}], expected [${batch}, ${tokens}], because the logits are [${batch}, ${tokens}, …].`,
  );
}
