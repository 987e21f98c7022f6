import { causalBias, MASKED, paddingBias, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';

/**
 * The self-attention masks of the three stage-1 tasks, in additive form: 0 where a row may look, a large negative
 * number where it may not. Rows look at columns; queries come first, then text.
 *
 * | task | rows | query columns | text columns |
 * | --- | --- | --- | --- |
 * | unimodal (ITC) | queries | yes | no |
 * | | text | no | real tokens |
 * | bidirectional (ITM) | all | yes | real tokens |
 * | multimodal causal (ITG) | queries | yes | no |
 * | | text | yes | real tokens up to its own |
 *
 * Source: BLIP-2 (arXiv 2301.12597), figure 2; LAVIS `blip2_qformer.py` and `Qformer.py`, `get_extended_attention_mask`.
 */

/** Which rows of a joint pass see which. */
export type AttentionPattern = 'unimodal' | 'bidirectional' | 'multimodal-causal';

/**
 * The mask of a joint pass over queries and text.
 *
 * @param textMask - int32 `[batch, tokens]`, 1 = real, 0 = padding
 * @returns `[batch, 1, queries + tokens, queries + tokens]`, or `[batch, 1, 1, queries + tokens]` where all rows see the same
 *
 * @example
 * const mask = jointMask('multimodal-causal', textMask, 32);
 */
export function jointMask(pattern: AttentionPattern, textMask: Tensor2D, queries: number): Tensor4D {
  return tidy(() => {
    const real = paddingBias(textMask); // [batch, 1, 1, tokens]
    if (pattern === 'bidirectional') return withQueryColumns(real, queries, 0); // [batch, 1, 1, queries + tokens]
    const batch = textMask.shape[0];
    const tokens = textMask.shape[1];
    const hidden = paddingBias(tf.zeros([batch, tokens], 'int32')); // [batch, 1, 1, tokens]
    const queryRows = tf.tile(withQueryColumns(hidden, queries, 0), [1, 1, queries, 1]); // [batch, 1, queries, queries + tokens]
    const textRows =
      pattern === 'unimodal'
        ? tf.tile(withQueryColumns(real, queries, MASKED), [1, 1, tokens, 1]) // [batch, 1, tokens, queries + tokens]
        : captionMask(textMask, queries); // [batch, 1, tokens, queries + tokens]
    return tf.concat([queryRows, textRows], 2); // [batch, 1, queries + tokens, queries + tokens]
  });
}

/**
 * The mask of text alone: padding is hidden.
 *
 * @param textMask - int32 `[batch, tokens]`
 * @returns `[batch, 1, 1, tokens]`
 */
export function textOnlyMask(textMask: Tensor2D): Tensor4D {
  return paddingBias(textMask);
}

/**
 * The mask of text rows that continue cached queries: all queries, and real tokens up to the row's own.
 *
 * @param textMask - int32 `[batch, tokens]`
 * @returns `[batch, 1, tokens, queries + tokens]`
 */
export function captionMask(textMask: Tensor2D, queries: number): Tensor4D {
  const tokens = textMask.shape[1];
  return tidy(() => {
    // The smaller of two biases: adding them would leave −2·10⁹ where both hide.
    const text = tf.minimum(paddingBias(textMask), causalBias(tokens, tokens)) as Tensor4D; // [batch, 1, tokens, tokens]
    return withQueryColumns(text, queries, 0); // [batch, 1, tokens, queries + tokens]
  });
}

/** `[batch, 1, rows, tokens]` → `[batch, 1, rows, queries + tokens]`, every query column with one value. */
function withQueryColumns(text: Tensor4D, queries: number, value: number): Tensor4D {
  const [batch, , rows] = text.shape;
  const columns = tf.broadcastTo(tf.scalar(value), [batch, 1, rows, queries]) as Tensor4D; // [batch, 1, rows, queries]
  return tf.concat([columns, text], 3); // [batch, 1, rows, queries + tokens]
}
