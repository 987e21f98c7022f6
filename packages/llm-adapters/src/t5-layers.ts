import {
  activation,
  applyDropout,
  attend,
  type Dropout,
  linear,
  type LinearParams,
  mergeHeads,
  rmsNorm,
  type RmsNormParams,
  splitHeads,
} from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import type { KeysAndValues } from './key-value-cache.ts';
import type { T5Config } from './t5-config.ts';

/**
 * What T5's encoder and decoder share. No linear layer has a bias, no score is scaled.
 *
 * Source: T5 (arXiv 1910.10683); Hugging Face transformers `modeling_t5.py`.
 */

/** Projections of one attention; `inner` is heads · headWidth. */
export interface T5AttentionParams {
  readonly query: LinearParams; // width → inner
  readonly key: LinearParams; //   width → inner
  readonly value: LinearParams; // width → inner
  readonly output: LinearParams; // inner → width
}

/** What makes keys and values. */
export type T5KeyValueParams = Pick<T5AttentionParams, 'key' | 'value'>;
/** What asks them, and takes what was read. */
export type T5QueryParams = Pick<T5AttentionParams, 'query' | 'output'>;

/** The feed-forward layer. */
export interface T5FeedForwardParams {
  readonly gate?: LinearParams; // width → feedForwardWidth, in gated models (`wi_0`)
  readonly in: LinearParams; //    width → feedForwardWidth (`wi`, or `wi_1` in gated models)
  readonly out: LinearParams; //   feedForwardWidth → width
}

/** What one stack has once. */
export interface T5StackParams {
  readonly positionBias: Tensor2D; // [buckets, heads]
  readonly norm: RmsNormParams;
}

/** Keys and values of a sequence. @param source - `[batch, keys, width]` */
export function keysAndValues(params: T5KeyValueParams, config: T5Config, source: Tensor3D): KeysAndValues {
  return {
    key: splitHeads(linear(params.key, source), config.heads), //     [batch, heads, keys, headWidth]
    value: splitHeads(linear(params.value, source), config.heads), // [batch, heads, keys, headWidth]
  };
}

/**
 * What the tokens read from keys and values.
 *
 * @param tokens - `[batch, tokens, width]`, normed.
 * @param bias - Broadcastable to `[batch, heads, tokens, keys]`.
 * @param dropout - In training: of the probabilities, and of the result. @default none
 * @returns `[batch, tokens, width]`
 */
export function t5Attention(
  params: T5QueryParams,
  config: T5Config,
  tokens: Tensor3D,
  { key, value }: KeysAndValues,
  bias?: Tensor4D,
  dropout?: Dropout,
): Tensor3D {
  const query = splitHeads(linear(params.query, tokens), config.heads); // [batch, heads, tokens, headWidth]
  const read = mergeHeads(attend(query, key, value, { scale: 1, bias }, dropout)); // [batch, tokens, inner]
  return applyDropout(dropout, linear(params.output, read)); // [batch, tokens, width]
}

/**
 * x + out(act(gate·x̂) ⊙ in·x̂), where x̂ is normed; without a gate x + out(act(in·x̂)).
 *
 * @param hidden - `[batch, tokens, width]`
 * @param dropout - In training: of what `out` multiplies, and of its result. @default none
 */
export function t5FeedForward(
  params: T5FeedForwardParams,
  norm: RmsNormParams,
  config: T5Config,
  hidden: Tensor3D,
  dropout?: Dropout,
): Tensor3D {
  const normed = rmsNorm(norm, hidden, config.normEpsilon);
  const inner = linear(params.in, normed); // [batch, tokens, feedForwardWidth]
  const activated = params.gate
    ? tf.mul(activation(config.activation, linear(params.gate, normed)), inner)
    : activation(config.activation, inner); // [batch, tokens, feedForwardWidth]
  const added = linear(params.out, applyDropout(dropout, activated as Tensor3D)); // [batch, tokens, width]
  return tf.add(hidden, applyDropout(dropout, added)); // [batch, tokens, width]
}
