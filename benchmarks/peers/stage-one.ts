import { meanCrossEntropy, tidy } from '@blip2/core';
import {
  captionLogits,
  contrastiveSimilarity,
  matchingLogits,
  normalizeImage,
  projectContrastive,
  type QFormerConfig,
  type QFormerParams,
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

/** Source: LAVIS, `label_smoothing` of contrast and captioning. */
const LABEL_SMOOTHING = 0.1;

/** Contrast, and captioning, which continues the same query pass. */
export function contrastAndCaptioning(
  params: QFormerParams,
  config: QFormerConfig,
  { features, text }: StageOneBatch,
): { contrast: Scalar; captioning: Scalar } {
  return tidy(() => {
    const image = normalizeImage(params.inputs, config, features); // [batch, imageTokens, imageFeatureWidth]
    const { output: queries, keyValues } = runQueryPass(params, config, image); // [batch, queries, width]
    const words = runTextPass(params, config, text).output; // [batch, tokens, width]
    return {
      contrast: contrastLoss(params, queries, words),
      captioning: captionLoss(params, config, keyValues, text),
    };
  });
}

function contrastLoss({ heads }: QFormerParams, queries: Tensor3D, words: Tensor3D): Scalar {
  const vision = projectContrastive(heads.imageProjection!, queries); // [batch, queries, contrastiveWidth]
  const firstWords = tf.slice(words, [0, 0, 0], [-1, 1, -1]); // [batch, 1, width]
  const texts = tf.squeeze(projectContrastive(heads.textProjection!, firstWords), [1]) as Tensor2D; // [batch, contrastiveWidth]
  const similarity = tf.div(contrastiveSimilarity(vision, texts), heads.temperature!) as Tensor2D; // [images, texts]
  const labels = tf.range(0, texts.shape[0], 1, 'int32');
  const toTexts = meanCrossEntropy(similarity, labels, { labelSmoothing: LABEL_SMOOTHING });
  const toImages = meanCrossEntropy(tf.transpose(similarity), labels, { labelSmoothing: LABEL_SMOOTHING });
  return tf.div(tf.add(toTexts, toImages), 2);
}

function captionLoss(
  params: QFormerParams,
  config: QFormerConfig,
  queryKeyValues: Parameters<typeof runCaptionPass>[2],
  { ids, mask }: TextTensors,
): Scalar {
  const [batch, tokens] = ids.shape;
  const begin = tf.tile(tf.tensor2d([[config.beginCaptionTokenId]], [1, 1], 'int32'), [batch, 1]); // [batch, 1]
  const following = tf.slice(ids, [0, 1], [batch, tokens - 1]); // [batch, tokens − 1]
  const words = tf.concat([begin, following], 1); // [batch, tokens], [DEC] in the place of [CLS]
  const { output } = runCaptionPass(params, config, queryKeyValues, { ids: words, mask }); // [batch, tokens, width]
  const predicting = tf.slice(output, [0, 0, 0], [batch, tokens - 1, config.width]); // [batch, tokens − 1, width]
  const logits = captionLogits(params.text!.captionHead!, config, predicting); // [batch, tokens − 1, vocab]
  const labels = tf.reshape(following, [-1]) as Tensor1D; // [batch · (tokens − 1)]
  const rows = tf.reshape(logits, [-1, config.vocabSize]) as Tensor2D; // [batch · (tokens − 1), vocab]
  return meanCrossEntropy(rows, labels, { labelSmoothing: LABEL_SMOOTHING, ignoreIndex: config.padTokenId });
}

/** Which pairs of a batch a matching loss looks at. */
export type MatchingPairs = 'positives' | 'negative-images' | 'negative-texts';

/** All of them, in LAVIS's order. */
export const MATCHING_PAIRS: readonly MatchingPairs[] = ['positives', 'negative-images', 'negative-texts'];

/**
 * Image-text matching over the given kinds of pairs in one pass; over all three it is the loss of the first stage.
 * The mean of the three kinds one by one is the same number.
 */
export function matchingLoss(
  params: QFormerParams,
  config: QFormerConfig,
  { features, text }: StageOneBatch,
  kinds: readonly MatchingPairs[] = MATCHING_PAIRS,
): Scalar {
  return tidy(() => {
    const image = normalizeImage(params.inputs, config, features); // [batch, imageTokens, imageFeatureWidth]
    const batch = image.shape[0];
    const images = kinds.map((kind) => (kind === 'negative-images' ? nextRows(image) : image));
    const ids = kinds.map((kind) => (kind === 'negative-texts' ? nextRows(text.ids) : text.ids));
    const masks = kinds.map((kind) => (kind === 'negative-texts' ? nextRows(text.mask) : text.mask));
    const texts = { ids: tf.concat(ids, 0), mask: tf.concat(masks, 0) }; // [kinds · batch, tokens]
    const { output } = runJointPass(params, config, tf.concat(images, 0), texts, 'bidirectional'); // [kinds · batch, queries + tokens, width]
    const queries = tf.slice(output, [0, 0, 0], [-1, config.queries, -1]); // [kinds · batch, queries, width]
    const labels = kinds.map((kind) => tf.tile(tf.tensor1d([kind === 'positives' ? 1 : 0], 'int32'), [batch])); // [batch] each
    return meanCrossEntropy(matchingLogits(params.heads.matching!, queries), tf.concat(labels, 0)); // [kinds · batch, 2]
  });
}

/** Row `i` of the result is row `i + 1`, and the last is the first. */
function nextRows<X extends Tensor2D | Tensor3D>(x: X): X {
  const rest = x.shape.slice(1);
  const zeros = rest.map(() => 0);
  const first = tf.slice(x, [0, ...zeros], [1, ...rest]);
  return tf.concat([tf.slice(x, [1, ...zeros], [x.shape[0] - 1, ...rest]), first], 0) as unknown as X; // as x
}
