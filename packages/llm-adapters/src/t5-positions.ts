import { embed, type HostTensor, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';

/** How distances are sorted into buckets. */
export interface PositionBuckets {
  readonly buckets: number;
  readonly maxDistance: number;
  /** Keys on both sides of the query count (encoder), or only those before it (decoder). */
  readonly bidirectional: boolean;
}

/**
 * The distance at which each bucket begins. The first half of the buckets hold one distance each; the others grow
 * by a constant factor up to `maxDistance`.
 *
 * Bucket `exact + j` begins at the least d with (d / exact)^n ≥ (maxDistance / exact)^j, where n buckets grow. Both
 * sides are compared as whole numbers: the logarithms of the usual formula round differently from machine to machine.
 *
 * @example
 * bucketStarts(16, 128); // [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91], the encoder's of T5
 */
export function bucketStarts(buckets: number, maxDistance: number): number[] {
  const exact = Math.floor(buckets / 2);
  const growing = buckets - exact;
  const starts = Array.from({ length: exact + 1 }, (_, distance) => distance);
  let distance = exact;
  for (let step = 1; step < growing; step++) {
    const bound = BigInt(maxDistance) ** BigInt(step) * BigInt(exact) ** BigInt(growing - step);
    while (BigInt(distance) ** BigInt(growing) < bound) distance++;
    starts.push(distance);
  }
  return starts;
}

/**
 * The bucket of a relative position.
 *
 * @param relativePosition - Index of the key minus index of the query.
 *
 * Source: T5 (arXiv 1910.10683), section 2.1; `T5Attention._relative_position_bucket` of Hugging Face transformers.
 */
export function positionBucket(relativePosition: number, options: PositionBuckets): number {
  return bucketOf(relativePosition, options, startsOf(options));
}

function startsOf({ buckets, maxDistance, bidirectional }: PositionBuckets): number[] {
  return bucketStarts(bidirectional ? buckets / 2 : buckets, maxDistance);
}

function bucketOf(relativePosition: number, { buckets, bidirectional }: PositionBuckets, starts: readonly number[]): number {
  const offset = bidirectional && relativePosition > 0 ? buckets / 2 : 0;
  const distance = bidirectional ? Math.abs(relativePosition) : Math.max(0, -relativePosition);
  return offset + starts.findLastIndex((start) => distance >= start);
}

/**
 * The bucket of each pair of positions.
 *
 * @param queries - How many positions ask; the last ones of `keys`.
 * @returns int32 `[queries, keys]`
 */
export function positionBuckets(queries: number, keys: number, options: PositionBuckets): HostTensor {
  const starts = startsOf(options);
  // Of the relative positions from 1 − keys to queries − 1, the first one first.
  const buckets = Array.from({ length: keys + queries - 1 }, (_, index) => bucketOf(index + 1 - keys, options, starts));
  const data = new Int32Array(queries * keys);
  for (let query = 0; query < queries; query++) {
    const position = keys - queries + query;
    for (let key = 0; key < keys; key++) data[query * keys + key] = buckets[key - position + keys - 1]!;
  }
  return { shape: [queries, keys], data };
}

/**
 * What attention scores get added by position: a number a head for each bucket of distances.
 *
 * @param table - `[buckets, heads]`, of the stack's first block; all its blocks use it.
 * @param buckets - int32 `[queries, keys]`; see {@link positionBuckets}.
 * @returns `[1, heads, queries, keys]`
 */
export function positionBias(table: Tensor2D, buckets: Tensor2D): Tensor4D {
  const [queries, keys] = buckets.shape;
  return tidy(() => {
    const bias = embed(table, buckets); // [queries, keys, heads]
    return tf.reshape(tf.transpose(bias, [2, 0, 1]), [1, table.shape[1], queries, keys]) as Tensor4D; // [1, heads, queries, keys]
  });
}
