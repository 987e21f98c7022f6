import { detached, InputError, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { type ImageIds, samePicture } from './contrastive.ts';

/** Which pairs belong together, and so are no negatives. */
export interface PositivePairs {
  /** Where this worker's rows begin among all. @default 0 */
  readonly offset?: number;
  /** Pairs with equal ids belong together. @default row i belongs to candidate offset + i */
  readonly imageIds?: ImageIds;
}

/** What is added in the place of the similarity of a pair that belongs together. Source: LAVIS `masked_fill_`. */
const EXCLUDED = -10_000;

/**
 * Probabilities with which negatives are drawn: the softmax of each row, without the pairs that belong together. The more similar a
 * wrong candidate is, the likelier it is drawn.
 *
 * @param similarity - `[rows, candidates]`, divided by the temperature, as {@link contrastiveLoss} gives it.
 * @returns `[rows, candidates]`; rows add up to 1. A row whose candidates all belong to it has no negative: its probabilities are equal,
 *   so a batch needs two pictures at least.
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.2; ALBEF (arXiv 2107.07651), section 3.2; LAVIS `blip2_qformer.py`.
 */
export function negativeWeights(similarity: Tensor2D, { offset = 0, imageIds }: PositivePairs = {}): Tensor2D {
  const [rows, candidates] = similarity.shape;
  return tidy(() => {
    const own = imageIds?.own ?? tf.range(offset, offset + rows, 1, 'int32'); // [rows]
    const all = imageIds === undefined ? tf.range(0, candidates, 1, 'int32') : (imageIds.all ?? imageIds.own); // [candidates]
    const positive = samePicture(own, all); // [rows, candidates]
    const masked = tf.add(tf.mul(similarity, tf.sub(1, positive)), tf.mul(positive, EXCLUDED)); // [rows, candidates]
    return tf.softmax(masked) as Tensor2D; // [rows, candidates]
  });
}

/**
 * Draws one candidate for each row, as likely as its weight says. Draws are numbers that the caller brings, so that a seed decides.
 *
 * @param weights - `[rows, candidates]`, at least 0 and not all 0 in a row; need not add up to 1.
 * @param draws - `[rows]`, uniform in [0, 1)
 * @returns int32 `[rows]`; never a candidate of weight 0. No gradient flows through it.
 * @throws {InputError} when there are not as many draws as rows.
 */
export function drawNegatives(weights: Tensor2D, draws: Tensor1D): Tensor1D {
  const [rows] = weights.shape;
  if (draws.shape[0] !== rows)
    throw new InputError(`drawNegatives: got ${draws.shape[0]} draws for ${rows} rows, expected one a row.`);
  return detached(() => {
    const reached = tf.cumsum(weights, 1); // [rows, candidates]
    const total = tf.slice(reached, [0, weights.shape[1] - 1], [-1, 1]); // [rows, 1]
    const drawn = tf.mul(tf.expandDims(draws, 1), total); // [rows, 1]
    // Rounding may bring a draw up to the total; the last candidate with a weight is the last to be drawn.
    const passed = tf.logicalAnd(tf.lessEqual(reached, drawn), tf.less(reached, total)); // [rows, candidates]
    return tf.sum(tf.cast(passed, 'int32'), 1) as Tensor1D; // int32 [rows]
  });
}
