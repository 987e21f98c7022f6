import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { tidy } from '../tensor-scope.ts';
import { batchedProduct } from './batched-product.ts';
import type { Dropout } from './dropout.ts';
import { type FusedOperation, runFused } from './fused-kernel.ts';
import { swapped } from './swapped.ts';

/**
 * What a masked score gets added. Large enough that its softmax is exactly 0 in float32, finite so that a
 * fully masked row stays a number. The reference adds the dtype's minimum, LAVIS −10000; they differ from this
 * only in fully masked rows, which nobody reads.
 */
export const MASKED = -1e9;

/** `[batch, tokens, heads·headWidth]` → `[batch, heads, tokens, headWidth]` */
export function splitHeads(x: Tensor3D, heads: number): Tensor4D {
  const [batch, tokens, width] = x.shape;
  return tidy(() => tf.transpose(tf.reshape(x, [batch, tokens, heads, width / heads]) as Tensor4D, [0, 2, 1, 3])); // [batch, heads, tokens, headWidth]
}

/** `[batch, heads, tokens, headWidth]` → `[batch, tokens, heads·headWidth]` */
export function mergeHeads(x: Tensor4D): Tensor3D {
  const [batch, heads, tokens, headWidth] = x.shape;
  return tidy(() => tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch, tokens, heads * headWidth]) as Tensor3D); // [batch, tokens, heads·headWidth]
}

/** What {@link attentionProbabilities} adds and multiplies. */
export interface AttentionOptions {
  /** Multiplies the scores: 1/√headWidth in most models, 1 in T5. */
  readonly scale: number;
  /** Added to the scores, broadcast to `[batch, heads, queries, keys]`: a mask, a position bias, or their sum. */
  readonly bias?: Tensor;
}

/**
 * softmax(scale·q·kᵀ + bias) over the keys.
 *
 * @param query - `[batch, heads, queries, headWidth]`
 * @param key - `[batch, heads, keys, headWidth]`
 * @returns `[batch, heads, queries, keys]`
 */
export function attentionProbabilities(query: Tensor4D, key: Tensor4D, { scale, bias }: AttentionOptions): Tensor4D {
  return tidy(() => {
    const scaled: Tensor4D = scale === 1 ? query : tf.mul(query, scale);
    const scores = batchedProduct(scaled, key, true); // [batch, heads, queries, keys]
    return tf.softmax<Tensor4D>(bias ? tf.add(scores, bias) : scores, -1);
  });
}

/**
 * Scaled dot-product attention: what each query reads from the values.
 *
 * @param query - `[batch, heads, queries, headWidth]`
 * @param key - `[batch, heads, keys, headWidth]`
 * @param value - `[batch, heads, keys, headWidth]`
 * @param dropout - Of the probabilities, which are a tensor of their own then. @default none
 * @returns `[batch, heads, queries, headWidth]`
 */
export function attend(
  query: Tensor4D,
  key: Tensor4D,
  value: Tensor4D,
  { scale, bias }: AttentionOptions,
  dropout?: Dropout,
): Tensor4D {
  if (dropout !== undefined) {
    return tidy(() => batchedProduct(dropout(attentionProbabilities(query, key, { scale, bias })), value)); // [batch, heads, queries, headWidth]
  }
  return runFused(ATTENTION, { query, key, value, bias }, { scale }); // [batch, heads, queries, headWidth]
}

interface AttentionInputs {
  readonly query: Tensor4D; // [batch, heads, queries, headWidth]
  readonly key: Tensor4D; //   [batch, heads, keys, headWidth]
  readonly value: Tensor4D; // [batch, heads, keys, headWidth]
  readonly bias?: Tensor; //   broadcast to [batch, heads, queries, keys]
}

const ATTENTION: FusedOperation<AttentionInputs, { readonly scale: number }> = {
  kernel: 'FusedAttention',
  inputs: ['query', 'key', 'value', 'bias'],
  compute: ({ query, key, value, bias }, { scale }) => batchedProduct(attentionProbabilities(query, key, { scale, bias }), value), // [batch, heads, queries, headWidth]
  gradients: (dy, inputs, { scale }) => {
    // Queries, keys and values share the large tensors on the way, and it is rare that not all three are wanted.
    const shared = tidy(() => {
      const { query, key } = inputs;
      const { probabilities, dScores } = scoreGradients(dy as Tensor4D, inputs, scale); // [batch, heads, queries, keys]
      return {
        query: tf.mul(batchedProduct(dScores, key), scale), // [batch, heads, queries, headWidth]
        key: tf.mul(batchedProduct(swapped(dScores), query), scale), // [batch, heads, keys, headWidth]
        value: batchedProduct(swapped(probabilities), dy as Tensor4D), // [batch, heads, keys, headWidth]
      };
    });
    return {
      query: () => shared.query,
      key: () => shared.key,
      value: () => shared.value,
      bias: () => sumTo(scoreGradients(dy as Tensor4D, inputs, scale).dScores, inputs.bias!.shape),
    };
  },
};

/** The probabilities, once more, and the gradient of the scores that they came from, both `[batch, heads, queries, keys]`. */
function scoreGradients(
  dy: Tensor4D,
  { query, key, value, bias }: AttentionInputs,
  scale: number,
): { probabilities: Tensor4D; dScores: Tensor4D } {
  const probabilities = attentionProbabilities(query, key, { scale, bias }); // [batch, heads, queries, keys]
  const weighted = tf.mul(probabilities, batchedProduct(dy, value, true)); // [batch, heads, queries, keys]
  return { probabilities, dScores: tf.sub(weighted, tf.mul(probabilities, tf.sum(weighted, -1, true))) };
}

/** Sums what was broadcast from `shape`. */
function sumTo(x: Tensor4D, shape: readonly number[]): Tensor {
  const padded = [...Array.from({ length: x.rank - shape.length }, () => 1), ...shape];
  const axes = padded.flatMap((size, axis) => (size === 1 ? [axis] : []));
  return tf.reshape(axes.length === 0 ? x : tf.sum(x, axes, true), [...shape]);
}

/**
 * The additive form of a padding mask.
 *
 * @param mask - int32 or float `[batch, keys]`, 1 = real, 0 = padding
 * @returns `[batch, 1, 1, keys]`, 0 or {@link MASKED}
 */
export function paddingBias(mask: Tensor2D): Tensor4D {
  const [batch, keys] = mask.shape;
  return tidy(() => {
    const hidden = tf.sub(1, tf.cast(mask, 'float32')); // [batch, keys]
    return tf.reshape(tf.mul(hidden, MASKED), [batch, 1, 1, keys]) as Tensor4D; // [batch, 1, 1, keys]
  });
}

/**
 * The additive form of a causal mask: query `i` of the last `queries` positions sees keys up to its own.
 *
 * @returns `[1, 1, queries, keys]`, 0 or {@link MASKED}
 */
export function causalBias(queries: number, keys: number): Tensor4D {
  return tidy(() => {
    const queryPositions = tf.reshape(tf.range(keys - queries, keys), [queries, 1]); // [queries, 1]
    const keyPositions = tf.reshape(tf.range(0, keys), [1, keys]); // [1, keys]
    const hidden = tf.cast(tf.greater(keyPositions, queryPositions), 'float32'); // [queries, keys]
    return tf.reshape(tf.mul(hidden, MASKED), [1, 1, queries, keys]) as Tensor4D; // [1, 1, queries, keys]
  });
}
