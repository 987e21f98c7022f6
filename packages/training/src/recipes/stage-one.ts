import type { LossAndMetrics } from '@blip2/compiler';
import { type Dropout, tidy } from '@blip2/core';
import {
  captioningLoss,
  captionTargets,
  type ContrastiveLoss,
  contrastiveLoss,
  type ContrastiveOptions,
  drawNegatives,
  matchingBatch,
  matchingLabels,
  matchingLoss,
  type Negatives,
  negativeWeights,
} from '@blip2/losses';
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
import { dropoutOf, type DropoutOptions } from './dropout-pool.ts';

/**
 * The first stage: the Q-Former learns to read images by three tasks at once. Retrieval is fine-tuned by the same sum.
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.2; LAVIS `blip2_qformer.py`, `forward`.
 */

/** Pairs of images and texts; row `i` of all belongs together. */
export interface StageOneBatch {
  readonly features: Tensor3D; //                [batch, imageTokens, imageFeatureWidth], of the image encoder, before ln_vision
  readonly text: TextTensors; //                 [batch, tokens], [CLS] first
  readonly imageIds: Tensor1D; //                int32 [batch]: texts of one image have the same
  /** How hard negatives are chosen: by numbers that a seed drew, or by whoever knows them. */
  readonly negatives: NegativeDraws | Negatives;
  /** Uniform numbers in [0, 1], `[pool]`: see `stageOneDropoutPool`. @default none: nothing is dropped */
  readonly dropout?: Tensor1D;
}

/** Uniform numbers in [0, 1) that choose hard negatives, so that a seed decides. */
export interface NegativeDraws {
  readonly images: Tensor1D; //                  [batch], a wrong image for each text
  readonly texts: Tensor1D; //                   [batch], a wrong text for each image
}

/** What of the first stage is trained. */
export interface StageOneOptions extends Pick<ContrastiveOptions, 'labelSmoothing' | 'pooling'>, DropoutOptions {
  /** Image-text contrast and matching. @default true */
  readonly contrast?: boolean;
  readonly matching?: boolean;
  /** Image-grounded text generation. @default true */
  readonly captioning?: boolean;
}

/** What contrast compares, and what captioning continues. */
export interface StageOneFeatures {
  readonly image: Tensor3D; //                   [batch, imageTokens, imageFeatureWidth], normalised
  readonly images: Tensor3D; //                  [batch, queries, contrastiveWidth], L2-normalised
  readonly texts: Tensor2D; //                   [batch, contrastiveWidth], L2-normalised
  readonly keyValues: QFormerPass['keyValues']; // of the query pass
}

/**
 * The sum of the losses that are on, and each of them.
 *
 * @param params - Of a Q-Former with all its stage-1 heads.
 * @returns `loss`, and `contrast`, `matching`, `captioning`, in nats.
 *
 * @example
 * const { loss } = stageOneLoss(params, config, batch);
 */
export function stageOneLoss(
  params: QFormerParams,
  config: QFormerConfig,
  batch: StageOneBatch,
  options: StageOneOptions = {},
): LossAndMetrics {
  const { contrast: withContrast = true, matching: withMatching = true, captioning: withCaptioning = true } = options;
  const dropout = dropoutOf(batch, options);
  const features = encodeStageOne(params, config, batch, dropout);
  const { labelSmoothing, pooling } = options;
  const contrast = contrastiveLoss(features, params.heads.temperature!, {
    labelSmoothing,
    pooling,
    imageIds: { own: batch.imageIds },
  });
  const losses: Record<string, Scalar> = {};
  if (withContrast) losses['contrast'] = contrast.loss;
  if (withMatching) {
    const pairs = matchingBatch({ images: features.image, ...batch.text }, chooseNegatives(contrast, batch)); // [3·batch, …]
    losses['matching'] = pairLoss(params, config, pairs.images, pairs, matchingLabels(batch.text.ids.shape[0]), dropout);
  }
  if (withCaptioning) losses['captioning'] = captionLoss(params, config, features.keyValues, batch.text, dropout);
  return { ...losses, loss: tf.addN(Object.values(losses)) as Scalar };
}

/** A wrong partner for each row, likelier the more similar it is; texts of the same image are not wrong. */
function chooseNegatives({ imageToText, textToImage }: ContrastiveLoss, { negatives, imageIds: own }: StageOneBatch): Negatives {
  if ('imageForEachText' in negatives) return negatives;
  const imageIds = { own };
  return {
    imageForEachText: drawNegatives(negativeWeights(textToImage, { imageIds }), negatives.images),
    textForEachImage: drawNegatives(negativeWeights(imageToText, { imageIds }), negatives.texts),
  };
}

/** Queries alone and text alone. Rows of a batch do not depend on each other. @param dropout - In training. @default none */
export function encodeStageOne(
  params: QFormerParams,
  config: QFormerConfig,
  { features, text }: Pick<StageOneBatch, 'features' | 'text'>,
  dropout?: Dropout,
): StageOneFeatures {
  return tidy(() => {
    const image = normalizeImage(params.inputs, config, features); // [batch, imageTokens, imageFeatureWidth]
    const { output: queries, keyValues } = runQueryPass(params, config, image, { dropout }); // [batch, queries, width]
    const words = runTextPass(params, config, text, { dropout }).output; // [batch, tokens, width]
    const firstWords = tf.slice(words, [0, 0, 0], [-1, 1, -1]); // [batch, 1, width]
    return {
      image,
      images: projectContrastive(params.heads.imageProjection!, queries), // [batch, queries, contrastiveWidth]
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
  dropout?: Dropout,
): Scalar {
  const { inputs, labels } = captionTargets(ids, { begin: config.beginCaptionTokenId, pad: config.padTokenId }); // [batch, tokens] each
  const { output } = runCaptionPass(params, config, queryKeyValues, { ids: inputs, mask }, { dropout }); // [batch, tokens, width]
  return captioningLoss(captionLogits(params.text!.captionHead!, config, output), labels); // from [batch, tokens, vocab]
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
  dropout?: Dropout,
): Scalar {
  return tidy(() => {
    const { output } = runJointPass(params, config, image, text, 'bidirectional', { dropout }); // [pairs, queries + tokens, width]
    const queries = tf.slice(output, [0, 0, 0], [-1, config.queries, -1]); // [pairs, queries, width]
    return matchingLoss(matchingLogits(params.heads.matching!, queries), labels); // from [pairs, 2]
  });
}
