import { IGNORED_LABEL, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { nextTokenLoss } from './next-token.ts';

/** What captioning reads and what it must predict. */
export interface CaptionTargets {
  readonly inputs: Tensor2D; //                  int32 [batch, tokens]
  readonly labels: Tensor2D; //                  int32 [batch, tokens], IGNORED_LABEL on padding
}

/**
 * Texts as captioning takes them: a token of its own in the place of the first, so that the Q-Former knows its task, and labels
 * without padding.
 *
 * @param ids - int32 `[batch, tokens]`, `[CLS]` first.
 * @param tokens - `begin` is the id of `[DEC]`, `pad` that of padding.
 *
 * Source: LAVIS `blip2_qformer.py`, `decoder_input_ids`.
 */
export function captionTargets(ids: Tensor2D, tokens: { readonly begin: number; readonly pad: number }): CaptionTargets {
  const [batch, length] = ids.shape;
  return tidy(() => {
    const begin = tf.tile(tf.tensor2d([[tokens.begin]], [1, 1], 'int32'), [batch, 1]); // [batch, 1]
    const inputs = tf.concat([begin, tf.slice(ids, [0, 1], [batch, length - 1])], 1); // [batch, tokens]
    const ignored = tf.fill(inputs.shape, IGNORED_LABEL, 'int32'); // [batch, tokens]
    return { inputs, labels: tf.where(tf.equal(inputs, tf.scalar(tokens.pad, 'int32')), ignored, inputs) as Tensor2D }; // [batch, tokens] each
  });
}

/**
 * Image-grounded text generation (ITG): each word from those before it and the image.
 *
 * @param logits - `[batch, tokens, vocab]`, of {@link CaptionTargets.inputs} read causally after the queries.
 * @param labels - int32 `[batch, tokens]`, not shifted.
 * @param labelSmoothing - The share of the probability that is spread over all words.
 * @returns the mean over all words that are no padding, in nats.
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.2; LAVIS `BertLMHeadModel`.
 */
export function captioningLoss(logits: Tensor3D, labels: Tensor2D, labelSmoothing = 0.1): Scalar {
  return nextTokenLoss(logits, labels, { labelSmoothing });
}
