import { gatherRows, InputError, meanCrossEntropy, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';

/** Images and texts, row by row. */
export interface MatchingPairs {
  readonly images: Tensor3D; //                  [pairs, imageTokens, imageFeatureWidth]
  readonly ids: Tensor2D; //                     int32 [pairs, tokens]
  readonly mask: Tensor2D; //                    int32 [pairs, tokens]
}

/** The wrong partner of each row, as {@link drawNegatives} gives it. */
export interface Negatives {
  readonly imageForEachText: Tensor1D; //        int32 [batch]
  readonly textForEachImage: Tensor1D; //        int32 [batch]
}

/**
 * The batch of matching, three times as long: what belongs together; each text with a wrong image; each image with a wrong text.
 *
 * @param pairs - `[batch, …]`, row i of all belongs together; kept.
 * @param candidates - What negatives are rows of: those of all workers. @default pairs
 * @returns `[3·batch, …]`; new tensors, the caller's; differentiable in the images.
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.2; LAVIS `blip2_qformer.py`.
 */
export function matchingBatch(pairs: MatchingPairs, negatives: Negatives, candidates: MatchingPairs = pairs): MatchingPairs {
  const [batch, imageTokens, width] = pairs.images.shape;
  return tidy(() => {
    const flat = tf.reshape(candidates.images, [candidates.images.shape[0], imageTokens * width]) as Tensor2D; // [candidates, imageTokens·width]
    const wrongImages = tf.reshape(gatherRows(flat, negatives.imageForEachText), [batch, imageTokens, width]); // [batch, imageTokens, width]
    const ofTexts = (own: Tensor2D, all: Tensor2D): Tensor2D =>
      tf.concat([own, own, tf.gather(all, negatives.textForEachImage)], 0); // [3·batch, tokens]
    return {
      images: tf.concat([pairs.images, wrongImages as Tensor3D, pairs.images], 0), // [3·batch, imageTokens, width]
      ids: ofTexts(pairs.ids, candidates.ids), // [3·batch, tokens]
      mask: ofTexts(pairs.mask, candidates.mask), // [3·batch, tokens]
    };
  });
}

/** 1 for the first third of a {@link matchingBatch}, 0 for the others. @returns int32 `[3·batch]` */
export function matchingLabels(batch: number): Tensor1D {
  return tidy(() => tf.concat([tf.ones([batch], 'int32'), tf.zeros([2 * batch], 'int32')]) as Tensor1D); // [3·batch]
}

/**
 * Image-text matching (ITM): whether a pair belongs together, as a choice between two classes.
 *
 * @param logits - `[pairs, 2]`: no, yes; the mean over the queries of the matching head.
 * @param labels - int32 `[pairs]`, 1 where image and text belong together.
 * @returns the mean over pairs, in nats.
 * @throws {InputError} when there are not as many labels as pairs.
 */
export function matchingLoss(logits: Tensor2D, labels: Tensor1D): Scalar {
  if (logits.shape[0] === labels.shape[0]) return meanCrossEntropy(logits, labels);
  throw new InputError(`matchingLoss: got ${labels.shape[0]} labels for ${logits.shape[0]} pairs, expected one a pair.`);
}
