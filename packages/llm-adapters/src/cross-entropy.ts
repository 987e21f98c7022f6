import { gatherRows, IGNORED_LABEL, InputError, linear, meanCrossEntropy, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';

export { IGNORED_LABEL };

/**
 * Mean cross-entropy of labels, computed for the positions that carry one only: logits of the others, and of the
 * prompt, are never made.
 *
 * @param features - What the head multiplies, `[batch, tokens, width]`.
 * @param head - `[vocab, width]`
 * @param labels - The token that each position should give, or {@link IGNORED_LABEL}. `[batch][tokens]`
 * @returns a scalar in nats, differentiable in `features` and `head`.
 * @throws {InputError} when no position has a label.
 */
export function crossEntropy(features: Tensor3D, head: Tensor2D, labels: readonly (readonly number[])[]): Scalar {
  const flat = labels.flat();
  const positions = flat.flatMap((label, position) => (label === IGNORED_LABEL ? [] : [position]));
  if (positions.length === 0) {
    throw new InputError(
      `Loss: none of the ${flat.length} positions has a label; all are ${IGNORED_LABEL}. Pass targets, or allow longer texts.`,
    );
  }
  return tidy(() => {
    const rows = tf.reshape(features, [-1, features.shape[2]]) as Tensor2D; // [batch · tokens, width]
    const counted = gatherRows(rows, tf.tensor1d(positions, 'int32')); // [labels, width]
    const logits = linear({ weight: head }, counted); // [labels, vocab]
    const targets = positions.map((position) => flat[position]!);
    return meanCrossEntropy(logits, tf.tensor1d(targets, 'int32'));
  });
}
