import {
  activation,
  applyDropout,
  attend,
  type Dropout,
  embed,
  type HostTensor,
  layerNorm,
  type LayerNormParams,
  linear,
  type LinearParams,
  mergeHeads,
  splitHeads,
  tidy,
} from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { causalMask, hasPadding, hostRows, tensorOf } from './host-tensors.ts';
import type { KeysAndValues } from './key-value-cache.ts';
import type { OptConfig } from './opt-config.ts';
import { attendShared } from './shared-attention.ts';

/**
 * OPT as pure functions. Axes: `batch`, `tokens` (new positions), `keys` (cached and new positions), `width`.
 *
 * Source: OPT (arXiv 2205.01068); Hugging Face transformers `modeling_opt.py`.
 */

/** What turns embeddings into the first hidden state. */
export interface OptInputParams {
  readonly positions: Tensor2D; // [maxPositions + 2, width]
  readonly projectIn?: LinearParams; // embeddingWidth → width, only where they differ (350m)
}

/** One layer. */
export interface OptLayerParams {
  readonly query: LinearParams; // width → width, as are the next three
  readonly key: LinearParams;
  readonly value: LinearParams;
  readonly output: LinearParams;
  readonly attentionNorm: LayerNormParams;
  readonly feedForwardIn: LinearParams; // width → feedForwardWidth
  readonly feedForwardOut: LinearParams; // feedForwardWidth → width
  readonly feedForwardNorm: LayerNormParams;
}

/** What turns the last hidden state into logits. */
export interface OptOutputParams {
  readonly norm?: LayerNormParams;
  readonly projectOut?: LinearParams; // width → embeddingWidth, only where they differ (350m)
  readonly head: Tensor2D; // [vocab, embeddingWidth]
}

/** All of an OPT model. A tied head is the same tensor as `tokens`. */
export interface OptParams {
  readonly tokens: Tensor2D; // [vocab, embeddingWidth]
  readonly input: OptInputParams;
  readonly layers: readonly OptLayerParams[];
  readonly output: OptOutputParams;
}

/** The table begins with two rows that no position has: a leftover of fairseq's padding index. */
const POSITION_OFFSET = 2;

/**
 * Rows of the position table: the count of real tokens up to each, less one, plus two. Padding reads row 1 wherever
 * it stands and takes up no position.
 *
 * @param mask - 1 = real, 0 = padding; all positions so far.
 * @returns one row number a position.
 *
 * @example
 * optPositionRows([1, 1, 1, 0, 0, 1, 1, 1]); // [2, 3, 4, 1, 1, 5, 6, 7]
 */
export function optPositionRows(mask: readonly number[]): number[] {
  let count = 0;
  return mask.map((real) => {
    count += real;
    return count * real - 1 + POSITION_OFFSET;
  });
}

/**
 * The position rows of new positions.
 *
 * @param mask - Of all positions so far, `[batch][keys]`; the last `tokens` of them are the new ones.
 * @returns int32 `[batch, tokens]`
 */
export function optPositions(mask: readonly (readonly number[])[], tokens: number): HostTensor {
  return hostRows(mask.map((row) => optPositionRows(row).slice(-tokens)));
}

/**
 * The first hidden state.
 *
 * @param embeddings - Token embeddings, visual prompt included, `[batch, tokens, embeddingWidth]`.
 * @param positions - Rows of the position table, int32 `[batch, tokens]`; see {@link optPositions}.
 * @returns `[batch, tokens, width]`
 */
export function optInput(params: OptInputParams, embeddings: Tensor3D, positions: Tensor2D): Tensor3D {
  return tidy(() => {
    const projected = params.projectIn ? linear(params.projectIn, embeddings) : embeddings; // [batch, tokens, width]
    return tf.add(projected, embed(params.positions, positions)) as Tensor3D; // [batch, tokens, width]
  });
}

/**
 * What eager code adds to the attention scores: the causal and padding mask, no larger than it needs to be.
 *
 * @param mask - Of all positions so far, `[batch][keys]`.
 * @param tokens - How many positions, the last ones, are new.
 * @returns broadcastable to `[batch, heads, tokens, keys]`; `undefined` where nothing is hidden.
 */
export function optAttentionBias(mask: readonly (readonly number[])[], tokens: number): Tensor4D | undefined {
  if (hasPadding(mask)) return tensorOf(causalMask(mask, tokens)); // [batch, 1, tokens, keys]
  return tokens === 1 ? undefined : tensorOf(causalMask(mask.slice(0, 1), tokens)); // [1, 1, tokens, keys]
}

/**
 * One layer: attention and feed-forward, each with its residual. Norms stand before each (all sizes) or after each
 * sum (350m).
 *
 * @param hidden - `[batch, tokens, width]`
 * @param past - Keys and values of the positions before, for incremental decoding.
 * @param prompt - Keys and values of positions before those, shared by beams; see {@link attendShared}. Needs a bias.
 * @param dropout - In training: of what attention and feed-forward layers add. @default none
 * @returns the next hidden state `[batch, tokens, width]`, and keys and values of all positions but the shared ones.
 */
export function optLayer(
  params: OptLayerParams,
  config: OptConfig,
  hidden: Tensor3D,
  bias?: Tensor4D,
  past?: KeysAndValues,
  prompt?: KeysAndValues,
  dropout?: Dropout,
): { hidden: Tensor3D } & KeysAndValues {
  const { heads, normBefore, normEpsilon } = config;
  return tidy(() => {
    const attended = normBefore ? layerNorm(params.attentionNorm, hidden, normEpsilon) : hidden;
    const query = splitHeads(linear(params.query, attended), heads); // [batch, heads, tokens, headWidth]
    const newKey = splitHeads(linear(params.key, attended), heads); // [batch, heads, tokens, headWidth]
    const newValue = splitHeads(linear(params.value, attended), heads); // [batch, heads, tokens, headWidth]
    const key = past ? tf.concat([past.key, newKey], 2) : newKey; // [batch, heads, keys, headWidth]
    const value = past ? tf.concat([past.value, newValue], 2) : newValue; // [batch, heads, keys, headWidth]
    const scale = (config.width / heads) ** -0.5;
    const attendedTo =
      prompt && bias ? attendShared(query, prompt, { key, value }, { scale, bias }) : attend(query, key, value, { scale, bias }); // [batch, heads, tokens, headWidth]
    const read = mergeHeads(attendedTo); // [batch, tokens, width]
    const sum: Tensor3D = tf.add(hidden, applyDropout(dropout, linear(params.output, read))); // [batch, tokens, width]
    const middle = normBefore ? sum : layerNorm(params.attentionNorm, sum, normEpsilon);
    return { hidden: feedForward(params, config, middle, dropout), key, value };
  });
}

function feedForward(params: OptLayerParams, config: OptConfig, hidden: Tensor3D, dropout?: Dropout): Tensor3D {
  const { normBefore, normEpsilon } = config;
  const input = normBefore ? layerNorm(params.feedForwardNorm, hidden, normEpsilon) : hidden;
  const inner = activation(config.activation, linear(params.feedForwardIn, input)); // [batch, tokens, feedForwardWidth]
  const sum: Tensor3D = tf.add(hidden, applyDropout(dropout, linear(params.feedForwardOut, inner))); // [batch, tokens, width]
  return normBefore ? sum : layerNorm(params.feedForwardNorm, sum, normEpsilon);
}

/**
 * The last norm and projection, where the model has them: what the head multiplies.
 *
 * @param hidden - `[batch, tokens, width]`
 * @returns `[batch, tokens, embeddingWidth]`
 */
export function optFeatures(params: OptOutputParams, config: OptConfig, hidden: Tensor3D): Tensor3D {
  return tidy(() => {
    const normed = params.norm ? layerNorm(params.norm, hidden, config.normEpsilon) : hidden;
    return params.projectOut ? linear(params.projectOut, normed) : tf.clone(normed); // [batch, tokens, embeddingWidth]
  });
}

/**
 * Next-token logits of one position.
 *
 * @param hidden - After the layers, `[batch, 1, width]`.
 * @returns `[batch, vocab]`
 */
export function optNextLogits(params: OptOutputParams, config: OptConfig, hidden: Tensor3D): Tensor2D {
  return tidy(() => {
    const features = optFeatures(params, config, hidden); // [batch, 1, embeddingWidth]
    return linear({ weight: params.head }, tf.reshape(features, [-1, features.shape[2]]) as Tensor2D); // [batch, vocab]
  });
}
