import {
  activation,
  applyDropout,
  attend,
  attendAbsorbed,
  attentionProbabilities,
  batchedProduct,
  ConfigError,
  embed,
  gatherRows,
  layerNorm,
  linear,
  mergeHeads,
  splitHeads,
  tidy,
} from '@blip2/core';
import type { Dropout, LayerNormParams, LinearParams } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import type { QFormerHeadParams, QFormerTextParams } from './heads.ts';
import type { QFormerConfig } from './qformer-config.ts';

/**
 * The Querying Transformer: a BERT whose sequence begins with learned queries. Queries and text share
 * self-attention; queries alone look at the image, by cross-attention in every second layer; each has feed-forward
 * layers of its own. Post-norm, as in BERT.
 *
 * Sources: BLIP-2 (arXiv 2301.12597), section 3.1 and figure 2; LAVIS `Qformer.py`; transformers `Blip2QFormerModel`.
 *
 * Axes: batch; queries; tokens of text; rows = queries, then tokens; imageTokens; width (768); imageFeatureWidth
 * (1408 or 1024); heads; headWidth = width / heads.
 */

/** Weights of a Q-Former. Parts that a checkpoint leaves out are absent. */
export interface QFormerParams {
  readonly inputs: QFormerInputParams;
  readonly layers: readonly QFormerLayerParams[];
  readonly text?: QFormerTextParams;
  readonly heads: QFormerHeadParams;
}

/** Weights before the first layer. */
export interface QFormerInputParams {
  readonly imageNorm: LayerNormParams; //        ln_vision, over imageFeatureWidth; trained with the Q-Former
  readonly queryTokens: Tensor2D; //             [queries, width]
  readonly norm: LayerNormParams; //             over width; for queries and for text embeddings
}

/** Weights of one layer. */
export interface QFormerLayerParams {
  readonly selfAttention: QFormerAttentionParams;
  readonly crossAttention?: QFormerAttentionParams;
  readonly queryFeedForward: QFormerFeedForwardParams;
  readonly textFeedForward?: QFormerFeedForwardParams;
}

/** Weights of an attention block. */
export interface QFormerAttentionParams {
  readonly query: LinearParams; //               [width, width]
  readonly key: LinearParams; //                 [width, width]; in cross-attention [width, imageFeatureWidth]
  readonly value: LinearParams; //               as key
  readonly output: LinearParams; //              [width, width]
  readonly norm: LayerNormParams;
}

/** Weights of a feed-forward block. */
export interface QFormerFeedForwardParams {
  readonly inner: LinearParams; //               [feedForwardWidth, width]
  readonly output: LinearParams; //              [width, feedForwardWidth]
  readonly norm: LayerNormParams;
}

/** Keys and values of one attention block, `[batch, heads, rows, headWidth]` each. */
export interface KeyValues {
  readonly keys: Tensor4D;
  readonly values: Tensor4D;
}

// ------------------------------------------------------------------------------------------------- inputs

/**
 * `ln_vision`: image features as cross-attention sees them, LAVIS's `image_embeds`.
 *
 * @param imageFeatures - `[batch, imageTokens, imageFeatureWidth]`, as a vision encoder gives them
 * @returns `[batch, imageTokens, imageFeatureWidth]`
 */
export function normalizeImage(params: QFormerInputParams, config: QFormerConfig, imageFeatures: Tensor3D): Tensor3D {
  return layerNorm(params.imageNorm, imageFeatures, config.imageNormEpsilon);
}

/** The learned queries, the same for every image, without positions. @returns `[batch, queries, width]` */
export function embedQueries(params: QFormerInputParams, config: QFormerConfig, batch: number): Tensor3D {
  return tidy(() => {
    const queries = layerNorm(params.norm, params.queryTokens, config.normEpsilon); // [queries, width]
    return tf.tile(tf.expandDims(queries, 0) as Tensor3D, [batch, 1, 1]); // [batch, queries, width]
  });
}

/**
 * Words with positions. Text counts from 0, also where queries stand before it. The reference normalises queries and
 * text together; a layer norm takes each row for itself, so here they are normalised apart.
 *
 * @param ids - int32 `[batch, tokens]`
 * @param positions - int32 `[tokens]`, for text that comes piece by piece. @default from 0
 * @returns `[batch, tokens, width]`
 */
export function embedText(
  params: QFormerInputParams,
  text: QFormerTextParams,
  config: QFormerConfig,
  ids: Tensor2D,
  positions?: Tensor1D,
): Tensor3D {
  return tidy(() => {
    const words = embed(text.words, ids); // [batch, tokens, width]
    const places =
      positions === undefined
        ? tf.slice(text.positions, [0, 0], [ids.shape[1], config.width]) // [tokens, width]
        : gatherRows(text.positions, positions); // [tokens, width]
    return layerNorm(params.norm, tf.add(words, places) as Tensor3D, config.normEpsilon); // [batch, tokens, width]
  });
}

// ------------------------------------------------------------------------------------------------- layer

/** What rows of a layer may look at. */
export interface LayerContext {
  /** How many leading rows are queries; the others are text. */
  readonly queryRows: number;
  /**
   * `[batch, imageTokens, imageFeatureWidth]`, after {@link normalizeImage}; needed where there are queries. One image,
   * `[1, …]`, may serve a whole batch.
   */
  readonly image?: Tensor3D;
  /** Added to the self-attention scores, broadcast to `[batch, heads, rows, past + rows]`. @default all see all */
  readonly mask?: Tensor;
  /** Self-attention keys and values of rows that stand before these and were computed earlier. */
  readonly past?: KeyValues;
  /** Whether the probabilities of cross-attention are wanted. @default false */
  readonly returnAttention?: boolean;
  /**
   * In training: of the probabilities of attention, and of what each block adds to its input. Queries must be those of the whole batch
   * then, as each image has masks of its own. @default none
   */
  readonly dropout?: Dropout;
}

/** What a layer computes. */
export interface LayerOutput {
  readonly hidden: Tensor3D; //                  [batch, rows, width]
  readonly keyValues: KeyValues; //              of self-attention, past rows included
  readonly crossAttention?: Tensor4D; //         probabilities, if wanted, [batch, heads, queries, imageTokens]
}

/**
 * One layer: self-attention over all rows, cross-attention of the queries, feed-forward of each kind of row.
 *
 * @param hidden - `[batch, rows, width]`, queries first; kept. Queries alone may be `[1, …]` until they meet a batch of images.
 * @returns new tensors, the caller's.
 */
export function qformerLayer(
  params: QFormerLayerParams,
  config: QFormerConfig,
  hidden: Tensor3D,
  { queryRows, image, mask, past, returnAttention, dropout }: LayerContext,
): LayerOutput {
  return tidy(() => {
    const keyValues = appendTo(past, keyValuesOf(params.selfAttention, config, hidden)); // [batch, heads, past + rows, headWidth]
    const attended = attentionBlock(params.selfAttention, config, hidden, keyValues, { mask, dropout }).hidden; // [batch, rows, width]
    const textRows = hidden.shape[1] - queryRows;
    const outputs: Tensor3D[] = [];
    let crossAttention: Tensor4D | undefined;
    if (queryRows > 0) {
      let queries = sliceRows(attended, 0, queryRows); // [batch, queries, width]
      if (params.crossAttention !== undefined) {
        if (image === undefined) throw new ConfigError('qformerLayer: queries need image features. Pass `image`.');
        const seen = crossAttentionBlock(params.crossAttention, config, queries, image, { returnAttention, dropout });
        queries = seen.hidden; // [batch, queries, width]
        crossAttention = seen.probabilities; // if wanted: [batch, heads, queries, imageTokens]
      }
      outputs.push(feedForwardBlock(params.queryFeedForward, config, queries, dropout)); // [batch, queries, width]
    }
    if (textRows > 0) {
      if (params.textFeedForward === undefined)
        throw new ConfigError('qformerLayer: this Q-Former has no text branch. Pass queries alone.');
      outputs.push(feedForwardBlock(params.textFeedForward, config, sliceRows(attended, queryRows, textRows), dropout)); // [batch, tokens, width]
    }
    return { hidden: tf.concat(outputs, 1), keyValues, crossAttention }; // [batch, rows, width]
  });
}

/**
 * What the queries read from the image; they do not see each other.
 *
 * With an image for each row of queries, or with the same queries for all images, few queries absorb the projections of keys and
 * values. With one image for all rows its keys and values are computed once, and the queries of all rows read them as if they
 * were one long row.
 */
function crossAttentionBlock(
  params: QFormerAttentionParams,
  config: QFormerConfig,
  queries: Tensor3D,
  image: Tensor3D,
  options: Pick<LayerContext, 'returnAttention' | 'dropout'>,
): Attended {
  const [batch, count, width] = queries.shape;
  const { heads } = config;
  const images = image.shape[0];
  // Absorbed attention never has its probabilities as they are, and counts on their sum.
  const isAbsorbed = images >= batch && count < width / heads && !options.returnAttention && options.dropout === undefined;
  if (isAbsorbed) {
    const query = linear(params.query, queries); // [batch, queries, width]
    const read = attendAbsorbed(params, query, image, { heads, scale: scaleOf(config) }); // [images, queries, width]
    return { hidden: addRead(params, config, queries, read) }; // [images, queries, width]
  }
  if (images > batch) return crossAttentionBlock(params, config, tf.tile(queries, [images, 1, 1]), image, options);
  const keyValues = keyValuesOf(params, config, image); // [images, heads, imageTokens, headWidth]
  if (images === batch) return attentionBlock(params, config, queries, keyValues, options);
  const joined = tf.reshape(queries, [1, batch * count, width]) as Tensor3D; // [1, batch·queries, width]
  const { hidden, probabilities } = attentionBlock(params, config, joined, keyValues, options); // [1, batch·queries, width], [1, heads, batch·queries, imageTokens]
  const byQuery = probabilities && tf.reshape(probabilities, [heads, batch, count, image.shape[1]]); // [heads, batch, queries, imageTokens]
  return {
    hidden: tf.reshape(hidden, [batch, count, width]), // [batch, queries, width]
    probabilities: byQuery && (tf.transpose(byQuery, [1, 0, 2, 3]) as Tensor4D), // [batch, heads, queries, imageTokens]
  };
}

/** What rows read, and with which probabilities, if those are wanted. */
interface Attended {
  readonly hidden: Tensor3D; //                  [batch, rows, width]
  readonly probabilities?: Tensor4D; //          [batch, heads, rows, keys]
}

/** Self-attention and, with keys and values of an image, cross-attention: what each row of x reads. */
function attentionBlock(
  params: QFormerAttentionParams,
  config: QFormerConfig,
  x: Tensor3D,
  { keys, values }: KeyValues,
  { mask, returnAttention = false, dropout }: Pick<LayerContext, 'mask' | 'returnAttention' | 'dropout'>,
): Attended {
  const query = splitHeads(linear(params.query, x), config.heads); // [batch, heads, rows, headWidth]
  const options = { scale: scaleOf(config), bias: mask };
  const probabilities = returnAttention ? attentionProbabilities(query, keys, options) : undefined; // [batch, heads, rows, keys]
  const read = probabilities
    ? batchedProduct(applyDropout(dropout, probabilities), values)
    : attend(query, keys, values, options, dropout); // [batch, heads, rows, headWidth]
  return { hidden: addRead(params, config, x, mergeHeads(read), dropout), probabilities };
}

/** norm(x + output(read)): `[batch, rows, width]` → `[batch, rows, width]`. */
function addRead(
  params: QFormerAttentionParams,
  { normEpsilon }: QFormerConfig,
  x: Tensor3D,
  read: Tensor3D,
  dropout?: Dropout,
): Tensor3D {
  const added = applyDropout(dropout, linear(params.output, read)); // [batch, rows, width]
  return layerNorm(params.norm, tf.add(added, x) as Tensor3D, normEpsilon); // [batch, rows, width]
}

/** What multiplies the scores of attention: 1/√headWidth. */
function scaleOf({ heads, width }: QFormerConfig): number {
  return (width / heads) ** -0.5;
}

/** norm(x + output(gelu(inner(x)))): `[batch, rows, width]` → `[batch, rows, width]`. */
function feedForwardBlock(params: QFormerFeedForwardParams, config: QFormerConfig, x: Tensor3D, dropout?: Dropout): Tensor3D {
  const inner = activation(config.activation, linear(params.inner, x)); // [batch, rows, feedForwardWidth]
  const added = applyDropout(dropout, linear(params.output, inner)); // [batch, rows, width]
  return layerNorm(params.norm, tf.add(added, x) as Tensor3D, config.normEpsilon); // [batch, rows, width]
}

/** `[batch, rows, …]` → keys and values, `[batch, heads, rows, headWidth]`. */
function keyValuesOf(params: QFormerAttentionParams, { heads }: QFormerConfig, x: Tensor3D): KeyValues {
  return { keys: splitHeads(linear(params.key, x), heads), values: splitHeads(linear(params.value, x), heads) };
}

function appendTo(past: KeyValues | undefined, next: KeyValues): KeyValues {
  if (past === undefined) return next;
  return { keys: tf.concat([past.keys, next.keys], 2), values: tf.concat([past.values, next.values], 2) }; // [batch, heads, past + rows, headWidth]
}

/** `[batch, rows, width]` → `[batch, count, width]` */
export function sliceRows(x: Tensor3D, begin: number, count: number): Tensor3D {
  return begin === 0 && count === x.shape[1] ? x : tf.slice(x, [0, begin, 0], [-1, count, -1]); // [batch, count, width]
}
