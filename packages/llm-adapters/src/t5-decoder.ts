import { type Dropout, type HostTensor, linear, rmsNorm, type RmsNormParams, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { causalMask, hasPadding, tensorOf } from './host-tensors.ts';
import type { KeysAndValues } from './key-value-cache.ts';
import type { T5Config } from './t5-config.ts';
import { t5Bias, t5PaddingBias, t5StackOutput } from './t5-encoder.ts';
import type { T5EncoderParams } from './t5-encoder.ts';
import {
  keysAndValues,
  t5Attention,
  type T5AttentionParams,
  t5FeedForward,
  type T5FeedForwardParams,
  type T5KeyValueParams,
  type T5QueryParams,
  type T5StackParams,
} from './t5-layers.ts';
import { positionBuckets } from './t5-positions.ts';

/** One decoder block. */
export interface T5DecoderLayerParams {
  readonly attentionNorm: RmsNormParams;
  readonly attention: T5AttentionParams;
  readonly crossAttentionNorm: RmsNormParams;
  readonly crossAttention: T5AttentionParams;
  readonly feedForwardNorm: RmsNormParams;
  readonly feedForward: T5FeedForwardParams;
}

/** What of a block makes keys and values of the encoder's output. */
export interface T5CrossParams {
  readonly crossAttention: T5KeyValueParams;
}

/** What of a block decodes, once those are there. */
export interface T5DecodingLayerParams extends Omit<T5DecoderLayerParams, 'crossAttention'> {
  readonly crossAttention: T5QueryParams;
}

/** The decoder. */
export interface T5DecoderParams {
  readonly stack: T5StackParams;
  readonly layers: readonly T5DecoderLayerParams[];
}

/** All of a T5 model. The three tables `[vocab, width]` are one tensor in most models, or one and a head. */
export interface T5Params {
  readonly encoderTokens: Tensor2D;
  readonly decoderTokens: Tensor2D;
  readonly encoder: T5EncoderParams;
  readonly decoder: T5DecoderParams;
  readonly head: Tensor2D;
  /** Whether the head is the shared token table. */
  readonly headIsTied: boolean;
}

/** What the decoder's attention scores get added. */
export interface T5DecoderBias {
  readonly self: Tensor4D; //   [batch or 1, heads, tokens, keys]: positions, causal mask, padding of the targets
  readonly cross?: Tensor4D; // [prompts, 1, 1, encoder tokens]: padding of the encoder's text; no positions
}

/** How far the decoder's last `tokens` positions are behind the keys, in buckets. @returns int32 `[tokens, keys]` */
export function t5DecoderBuckets(config: T5Config, tokens: number, keys: number): HostTensor {
  return positionBuckets(tokens, keys, {
    buckets: config.relativePositionBuckets,
    maxDistance: config.relativePositionMaxDistance,
    bidirectional: false,
  });
}

/**
 * Biases of the decoder for its last `tokens` positions.
 *
 * @param mask - Of the decoder's positions so far, `[batch][keys]`; `undefined` when all are real.
 * @param encoderMask - `[batch][encoder tokens]`
 */
export function t5DecoderBias(
  stack: T5StackParams,
  config: T5Config,
  { tokens, keys, mask }: { tokens: number; keys: number; mask?: readonly (readonly number[])[] },
  encoderMask: readonly (readonly number[])[],
): T5DecoderBias {
  return tidy(() => {
    const buckets = tensorOf<Tensor2D>(t5DecoderBuckets(config, tokens, keys)); // [tokens, keys]
    const hidden = mask && hasPadding(mask) ? mask : allReal(1, keys);
    const isOpen = tokens === 1 && !hasPadding(hidden);
    const masked = isOpen ? undefined : tensorOf<Tensor4D>(causalMask(hidden, tokens)); // [batch or 1, 1, tokens, keys]
    return { self: t5Bias(stack, buckets, masked), cross: t5PaddingBias(encoderMask) };
  });
}

/** A mask that hides nothing, `[batch][keys]`. */
export function allReal(batch: number, keys: number): number[][] {
  return Array.from({ length: batch }, () => Array.from({ length: keys }, () => 1));
}

/** Keys and values of the encoder's output for one block's cross-attention: computed once a text. */
export function t5CrossKeysAndValues(params: T5CrossParams, config: T5Config, encoded: Tensor3D): KeysAndValues {
  return tidy(() => keysAndValues(params.crossAttention, config, encoded));
}

/**
 * One block: self-attention, cross-attention, feed-forward, each normed before and added after.
 *
 * @param hidden - `[batch, tokens, width]`
 * @param encoded - Keys and values of the encoder's output, from {@link t5CrossKeysAndValues}: of each row, or of each prompt where
 *   all have equally many rows, one after the other. `bias.cross` goes with them.
 * @param past - Keys and values of the decoder's positions before, for incremental decoding.
 * @param dropout - In training. @default none
 * @returns the next hidden state `[batch, tokens, width]`, and self-attention's keys and values of all positions.
 */
export function t5DecoderLayer(
  params: T5DecodingLayerParams,
  config: T5Config,
  hidden: Tensor3D,
  bias: T5DecoderBias,
  encoded: KeysAndValues,
  past?: KeysAndValues,
  dropout?: Dropout,
): { hidden: Tensor3D } & KeysAndValues {
  return tidy(() => {
    const normed = rmsNorm(params.attentionNorm, hidden, config.normEpsilon);
    const added = keysAndValues(params.attention, config, normed); // [batch, heads, tokens, headWidth]
    const key = past ? tf.concat([past.key, added.key], 2) : added.key; // [batch, heads, keys, headWidth]
    const value = past ? tf.concat([past.value, added.value], 2) : added.value; // [batch, heads, keys, headWidth]
    const readOwn = t5Attention(params.attention, config, normed, { key, value }, bias.self, dropout); // [batch, tokens, width]
    const afterSelf: Tensor3D = tf.add(hidden, readOwn); // [batch, tokens, width]
    const normedAgain = rmsNorm(params.crossAttentionNorm, afterSelf, config.normEpsilon);
    const byPrompt = tf.reshape(normedAgain, [encoded.key.shape[0], -1, config.width]) as Tensor3D; // [prompts, beams · tokens, width]
    const read = t5Attention(params.crossAttention, config, byPrompt, encoded, bias.cross, dropout); // [prompts, beams · tokens, width]
    const afterCross = tf.add(afterSelf, tf.reshape(read, hidden.shape)) as Tensor3D; // [batch, tokens, width]
    return { hidden: t5FeedForward(params.feedForward, params.feedForwardNorm, config, afterCross, dropout), key, value };
  });
}

/** A head and whether it is the shared token table. */
export type T5HeadParams = Pick<T5Params, 'head' | 'headIsTied'>;

/**
 * What the head multiplies. A head of its own takes the decoder's output as it is; a tied one takes it times 1/√width.
 *
 * @param decoded - `[batch, tokens, width]`, after the last norm.
 */
export function t5HeadInput(headIsTied: boolean, config: T5Config, decoded: Tensor3D): Tensor3D {
  return headIsTied && config.scaleTiedHead ? (tf.mul(decoded, config.width ** -0.5) as Tensor3D) : decoded;
}

/** Next-token logits. @param decoded - `[batch, tokens, width]`, after the last norm. @returns `[batch, tokens, vocab]` */
export function t5Logits({ head, headIsTied }: T5HeadParams, config: T5Config, decoded: Tensor3D): Tensor3D {
  return tidy(() => linear({ weight: head }, t5HeadInput(headIsTied, config, decoded))); // [batch, tokens, vocab]
}

/** Next-token logits of one position. @param decoded - `[batch, 1, width]`, after the last norm. @returns `[batch, vocab]` */
export function t5NextLogits(params: T5HeadParams, config: T5Config, decoded: Tensor3D): Tensor2D {
  return tidy(() => tf.reshape(t5Logits(params, config, decoded), [-1, config.vocabSize]) as Tensor2D); // [batch, vocab]
}

/**
 * The whole decoder without a cache, in one differentiable pass.
 *
 * @param embeddings - Of the decoder's input ids, `[batch, tokens, width]`.
 * @param mask - Of those ids, `[batch][tokens]`; `undefined` when all count.
 * @param encoded - The encoder's output, `[batch, encoder tokens, width]`.
 * @returns `[batch, tokens, width]`, after the last norm.
 */
export function t5Decoder(
  params: T5DecoderParams,
  config: T5Config,
  embeddings: Tensor3D,
  mask: readonly (readonly number[])[] | undefined,
  encoded: Tensor3D,
  encoderMask: readonly (readonly number[])[],
): Tensor3D {
  return tidy(() => {
    const tokens = embeddings.shape[1];
    const bias = t5DecoderBias(params.stack, config, { tokens, keys: tokens, mask }, encoderMask);
    let hidden = embeddings;
    for (const layer of params.layers) {
      hidden = t5DecoderLayer(layer, config, hidden, bias, t5CrossKeysAndValues(layer, config, encoded)).hidden;
    }
    return t5StackOutput(params.stack, config, hidden);
  });
}
