import { type Dropout, type HostTensor, rmsNorm, type RmsNormParams, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { hasPadding, paddingMask, tensorOf } from './host-tensors.ts';
import type { T5Config } from './t5-config.ts';
import {
  keysAndValues,
  t5Attention,
  type T5AttentionParams,
  t5FeedForward,
  type T5FeedForwardParams,
  type T5StackParams,
} from './t5-layers.ts';
import { positionBias, positionBuckets } from './t5-positions.ts';

/** One encoder block. */
export interface T5EncoderLayerParams {
  readonly attentionNorm: RmsNormParams;
  readonly attention: T5AttentionParams;
  readonly feedForwardNorm: RmsNormParams;
  readonly feedForward: T5FeedForwardParams;
}

/** The encoder. */
export interface T5EncoderParams {
  readonly stack: T5StackParams;
  readonly layers: readonly T5EncoderLayerParams[];
}

/** How far apart the encoder's positions are, in buckets. @returns int32 `[tokens, tokens]` */
export function t5EncoderBuckets(config: T5Config, tokens: number): HostTensor {
  return positionBuckets(tokens, tokens, {
    buckets: config.relativePositionBuckets,
    maxDistance: config.relativePositionMaxDistance,
    bidirectional: true,
  });
}

/**
 * What a stack's attention scores get added: position bias of all pairs, and the mask.
 *
 * @param buckets - int32 `[tokens, keys]`
 * @param mask - Broadcastable to `[batch, heads, tokens, keys]`; `undefined` where nothing is hidden.
 * @returns `[batch or 1, heads, tokens, keys]`
 */
export function t5Bias(stack: Pick<T5StackParams, 'positionBias'>, buckets: Tensor2D, mask: Tensor4D | undefined): Tensor4D {
  return tidy(() => {
    const bias = positionBias(stack.positionBias, buckets); // [1, heads, tokens, keys]
    return mask ? (tf.add(bias, mask) as Tensor4D) : bias; // [batch, heads, tokens, keys]
  });
}

/**
 * The encoder's bias. The first position is the first query of the visual prompt.
 *
 * @param mask - 1 = real, 0 = padding, `[batch][tokens]`.
 * @returns `[batch or 1, heads, tokens, tokens]`
 */
export function t5EncoderBias(stack: T5StackParams, config: T5Config, mask: readonly (readonly number[])[]): Tensor4D {
  return tidy(() => t5Bias(stack, tensorOf(t5EncoderBuckets(config, mask[0]!.length)), t5PaddingBias(mask)));
}

/** The additive padding mask `[batch, 1, 1, keys]`, or `undefined` where there is no padding. */
export function t5PaddingBias(mask: readonly (readonly number[])[]): Tensor4D | undefined {
  return hasPadding(mask) ? tensorOf(paddingMask(mask)) : undefined;
}

/** One block. @param hidden - `[batch, tokens, width]` @param dropout - In training. @returns `[batch, tokens, width]` */
export function t5EncoderLayer(
  params: T5EncoderLayerParams,
  config: T5Config,
  hidden: Tensor3D,
  bias: Tensor4D,
  dropout?: Dropout,
): Tensor3D {
  return tidy(() => {
    const normed = rmsNorm(params.attentionNorm, hidden, config.normEpsilon);
    const read = t5Attention(params.attention, config, normed, keysAndValues(params.attention, config, normed), bias, dropout);
    const sum: Tensor3D = tf.add(hidden, read); // [batch, tokens, width]
    return t5FeedForward(params.feedForward, params.feedForwardNorm, config, sum, dropout);
  });
}

/** A stack's last norm. @param hidden - `[batch, tokens, width]` */
export function t5StackOutput(stack: T5StackParams, config: T5Config, hidden: Tensor3D): Tensor3D {
  return rmsNorm(stack.norm, hidden, config.normEpsilon);
}

/**
 * The whole encoder, in one differentiable pass.
 *
 * @param embeddings - `[batch, tokens, width]`, visual prompt included.
 * @param mask - 1 = real, 0 = padding, `[batch][tokens]`.
 * @returns `[batch, tokens, width]`; what stands at padding means nothing.
 */
export function t5Encoder(
  params: T5EncoderParams,
  config: T5Config,
  embeddings: Tensor3D,
  mask: readonly (readonly number[])[],
): Tensor3D {
  return tidy(() => {
    const bias = t5EncoderBias(params.stack, config, mask);
    let hidden = embeddings;
    for (const layer of params.layers) hidden = t5EncoderLayer(layer, config, hidden, bias);
    return t5StackOutput(params.stack, config, hidden);
  });
}
