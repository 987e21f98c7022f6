import { batchedProduct, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { KeysAndValues } from './key-value-cache.ts';

/**
 * Attention of rows that share their first keys and values: beams of a prompt, which differ in what they have written only.
 * The same numbers as attention over both parts in one piece, but the prompt is there once for all its beams: a step
 * copies and reads a fifth of it for five beams, and never copies it.
 *
 * @param query - `[prompts · beams, heads, tokens, headWidth]`, the beams of a prompt one after the other.
 * @param shared - Of the prompts, `[prompts, heads, shared, headWidth]`.
 * @param own - Of each row, `[prompts · beams, heads, keys, headWidth]`.
 * @param bias - Broadcastable to `[prompts · beams, heads, tokens, shared + keys]`, the shared keys first.
 * @returns `[prompts · beams, heads, tokens, headWidth]`
 */
export function attendShared(
  query: Tensor4D,
  shared: KeysAndValues,
  own: KeysAndValues,
  { scale, bias }: { readonly scale: number; readonly bias: Tensor4D },
): Tensor4D {
  const [prompts, , sharedKeys] = shared.key.shape;
  return tidy(() => {
    const scaled: Tensor4D = tf.mul(query, scale);
    const toShared = ungroup(batchedProduct(group(scaled, prompts), shared.key, true), query); // [prompts · beams, heads, tokens, shared]
    const toOwn = batchedProduct(scaled, own.key, true); // [prompts · beams, heads, tokens, keys]
    const scores = tf.add(tf.concat([toShared, toOwn], 3), bias); // [prompts · beams, heads, tokens, shared + keys]
    const probabilities = tf.softmax<Tensor4D>(scores as Tensor4D, -1);
    const ofShared = tf.slice(probabilities, [0, 0, 0, 0], [-1, -1, -1, sharedKeys]); // [prompts · beams, heads, tokens, shared]
    const ofOwn = tf.slice(probabilities, [0, 0, 0, sharedKeys], [-1, -1, -1, -1]); // [prompts · beams, heads, tokens, keys]
    const fromShared = ungroup(batchedProduct(group(ofShared, prompts), shared.value), query); // [prompts · beams, heads, tokens, headWidth]
    return tf.add(fromShared, batchedProduct(ofOwn, own.value)) as Tensor4D; // [prompts · beams, heads, tokens, headWidth]
  });
}

/** `[prompts · beams, heads, tokens, width]` → `[prompts, heads, beams · tokens, width]` */
function group(x: Tensor4D, prompts: number): Tensor4D {
  const [rows, heads, tokens, width] = x.shape;
  const beams = rows / prompts;
  const byHead = tf.transpose(tf.reshape(x, [prompts, beams, heads, tokens * width]), [0, 2, 1, 3]); // [prompts, heads, beams, tokens · width]
  return tf.reshape(byHead, [prompts, heads, beams * tokens, width]); // [prompts, heads, beams · tokens, width]
}

/** `[prompts, heads, beams · tokens, width]` → `[prompts · beams, heads, tokens, width]`, rows as in `like`. */
function ungroup(x: Tensor4D, like: Tensor4D): Tensor4D {
  const [prompts, heads, , width] = x.shape;
  const [rows, , tokens] = like.shape;
  const byBeam = tf.transpose(tf.reshape(x, [prompts, heads, rows / prompts, tokens * width]), [0, 2, 1, 3]); // [prompts, beams, heads, tokens · width]
  return tf.reshape(byBeam, [rows, heads, tokens, width]); // [prompts · beams, heads, tokens, width]
}
