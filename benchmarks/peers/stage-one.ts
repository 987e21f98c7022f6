import { tidy } from '@blip2/core';
import { captioningLoss, captionTargets, matchingLabels, matchingLoss } from '@blip2/losses';
import {
  captionLogits,
  matchingLogits,
  normalizeImage,
  projectContrastive,
  type QFormerConfig,
  type QFormerParams,
  type QFormerPass,
  runCaptionPass,
  runJointPass,
  runQueryPass,
  runTextPass,
  type TextTensors,
} from '@blip2/qformer';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';

/**
 * The losses of the first stage as pure functions of parameters and a batch, composed of the Q-Former's passes. Negatives
 * are fixed: the next image and the next text, so that both sides of the benchmark compute the same numbers.
 *
 * Sources: BLIP-2 (arXiv 2301.12597), section 3.2; LAVIS `blip2_qformer.py`.
 */

/** Image features and the texts that belong to them. */
export interface StageOneBatch {
  readonly features: Tensor3D; //                [batch, imageTokens, imageFeatureWidth], before ln_vision
  readonly text: TextTensors; //                 [batch, tokens]
}

/** Source: BLIP-2 (arXiv 2301.12597), section 4.1. */
export const ADAMW = { learningRate: 1e-4, betas: [0.9, 0.98], epsilon: 1e-8, weightDecay: 0.05 } as const;

/** What contrast compares, and what captioning continues. */
export interface StageOneFeatures {
  readonly vision: Tensor3D; //                  [batch, queries, contrastiveWidth], L2-normalised
  readonly texts: Tensor2D; //                   [batch, contrastiveWidth], L2-normalised
  readonly keyValues: QFormerPass['keyValues']; // of the query pass
}

/** Queries alone and text alone. Rows of a batch do not depend on each other. */
export function encodeStageOne(
  params: QFormerParams,
  config: QFormerConfig,
  { features, text }: StageOneBatch,
): StageOneFeatures {
  return tidy(() => {
    const image = normalizeImage(params.inputs, config, features); // [batch, imageTokens, imageFeatureWidth]
    const { output: queries, keyValues } = runQueryPass(params, config, image); // [batch, queries, width]
    const words = runTextPass(params, config, text).output; // [batch, tokens, width]
    const firstWords = tf.slice(words, [0, 0, 0], [-1, 1, -1]); // [batch, 1, width]
    return {
      vision: projectContrastive(params.heads.imageProjection!, queries), // [batch, queries, contrastiveWidth]
      texts: tf.squeeze(projectContrastive(params.heads.textProjection!, firstWords), [1]), // [batch, contrastiveWidth]
      keyValues,
    };
  });
}

/** Next-word loss of the texts, each after its image: the mean over all words that are no padding. */
export function captionLoss(
  params: QFormerParams,
  config: QFormerConfig,
  queryKeyValues: QFormerPass['keyValues'],
  { ids, mask }: TextTensors,
): Scalar {
  const { inputs, labels } = captionTargets(ids, { begin: config.beginCaptionTokenId, pad: config.padTokenId }); // [batch, tokens] each
  const { output } = runCaptionPass(params, config, queryKeyValues, { ids: inputs, mask }); // [batch, tokens, width]
  return captioningLoss(captionLogits(params.text!.captionHead!, config, output), labels); // from [batch, tokens, vocab]
}

/** Images and texts that belong together come first, then each text with another image, then each image with another text. */
export function allPairsLoss(params: QFormerParams, config: QFormerConfig, { features, text }: StageOneBatch): Scalar {
  return tidy(() => {
    const image = normalizeImage(params.inputs, config, features); // [batch, imageTokens, imageFeatureWidth]
    const images = tf.concat([image, nextRows(image), image], 0); // [3·batch, imageTokens, imageFeatureWidth]
    const texts = {
      ids: tf.concat([text.ids, text.ids, nextRows(text.ids)], 0), // [3·batch, tokens]
      mask: tf.concat([text.mask, text.mask, nextRows(text.mask)], 0), // [3·batch, tokens]
    };
    return pairLoss(params, config, images, texts, matchingLabels(image.shape[0]));
  });
}

/**
 * Image-text matching of given pairs.
 *
 * @param image - Normalised features, `[pairs, imageTokens, imageFeatureWidth]`
 * @param labels - int32 `[pairs]`, 1 where image and text belong together.
 */
export function pairLoss(
  params: QFormerParams,
  config: QFormerConfig,
  image: Tensor3D,
  text: TextTensors,
  labels: Tensor1D,
): Scalar {
  return tidy(() => {
    const { output } = runJointPass(params, config, image, text, 'bidirectional'); // [pairs, queries + tokens, width]
    const queries = tf.slice(output, [0, 0, 0], [-1, config.queries, -1]); // [pairs, queries, width]
    return matchingLoss(matchingLogits(params.heads.matching!, queries), labels); // from [pairs, 2]
  });
}

/** Row `i` of the result is row `i + 1`, and the last is the first. */
export function nextRows<X extends Tensor2D | Tensor3D>(x: X): X {
  const rest = x.shape.slice(1);
  const zeros = rest.map(() => 0);
  const first = tf.slice(x, [0, ...zeros], [1, ...rest]);
  return tf.concat([tf.slice(x, [1, ...zeros], [x.shape[0] - 1, ...rest]), first], 0) as unknown as X; // as x
}
