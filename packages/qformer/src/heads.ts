import { activation, l2Normalize, layerNorm, linear, tidy } from '@blip2/core';
import type { LayerNormParams, LinearParams } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import type { QFormerConfig } from './qformer-config.ts';

/**
 * What stands behind the Q-Former: the stage-1 heads (contrast, matching, captioning) and the projection to the
 * language model.
 *
 * Sources: BLIP-2 (arXiv 2301.12597), sections 3.2 and 3.3; LAVIS `blip2_qformer.py`; transformers `Blip2ForImageTextRetrieval`.
 */

/** Weights that turn Q-Former outputs into what a task needs. A checkpoint has those of its own task. */
export interface QFormerHeadParams {
  readonly promptProjection?: LinearParams; //   [promptWidth, width]
  readonly imageProjection?: LinearParams; //    [contrastiveWidth, width]
  readonly textProjection?: LinearParams; //     [contrastiveWidth, width]
  readonly matching?: LinearParams; //           [2, width]
  readonly temperature?: Scalar; //              divides contrastive similarities in training
}

/** Weights for reading text, and for writing it. */
export interface QFormerTextParams {
  readonly words: Tensor2D; //                   [vocab, width]
  readonly positions: Tensor2D; //               [maxPositions, width]
  readonly captionHead?: CaptionHeadParams;
}

/** BERT's head for words: its output matrix is the table of words. */
export interface CaptionHeadParams {
  readonly dense: LinearParams; //               [width, width]
  readonly norm: LayerNormParams;
  readonly decoder: LinearParams; //             [vocab, width], tied to `words`
}

/** A head's projection, L2-normalised. @param x - `[batch, rows, width]` @returns `[batch, rows, contrastiveWidth]` */
export function projectContrastive(params: LinearParams, x: Tensor3D): Tensor3D {
  return tidy(() => l2Normalize(linear(params, x))); // [batch, rows, contrastiveWidth]
}

/**
 * Image-text matching: every query votes, the mean counts.
 *
 * @param queries - Query rows of a bidirectional pass, `[batch, queries, width]`
 * @returns `[batch, 2]`; index 1 means match
 * Source: BLIP-2 (arXiv 2301.12597), section 3.2, image-text matching.
 */
export function matchingLogits(params: LinearParams, queries: Tensor3D): Tensor2D {
  return tidy(() => tf.mean(linear(params, queries), 1) as Tensor2D); // [batch, 2]
}

/**
 * Next-word logits of the Q-Former's own caption head.
 *
 * @param text - Text rows of a causal pass, `[batch, tokens, width]`
 * @returns `[batch, tokens, vocab]`
 * Source: LAVIS `Qformer.py`, `BertLMPredictionHead`.
 */
export function captionLogits(params: CaptionHeadParams, config: QFormerConfig, text: Tensor3D): Tensor3D {
  return tidy(() => {
    const transformed = activation(config.activation, linear(params.dense, text)); // [batch, tokens, width]
    return linear(params.decoder, layerNorm(params.norm, transformed, config.normEpsilon)); // [batch, tokens, vocab]
  });
}
