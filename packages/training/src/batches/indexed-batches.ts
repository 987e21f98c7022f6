import { InputError, type Random, type RunOptions, seededRandom } from '@blip2/core';
import { combineSeeds, permutation } from '@blip2/datasets';
import type { BatchSource, JsonValue } from '../trainer/batch-source.ts';

/** How {@link indexedBatches} goes through a data set. */
export interface IndexedBatchesOptions<Batch> {
  /** Records of the data set. */
  readonly length: number;
  readonly batchSize: number;
  /** Decides the order, and everything that `make` draws. @default 0 */
  readonly seed?: number;
  /** Go through the records in their own order. @default false: in another one each epoch */
  readonly inOrder?: boolean;
  /**
   * Makes a batch.
   * @param rows - Which records, `batchSize` of them, all different.
   * @param random - A generator of this batch's own: equal batches of two runs draw equal numbers.
   */
  readonly make: (rows: readonly number[], random: Random, options: Pick<RunOptions, 'abortSignal'>) => Batch | Promise<Batch>;
}

/**
 * Endless batches of a data set that is read by index: each epoch in an order of its own, without the records that do not fill a
 * batch. Which records a batch has, and what is drawn for it, follows from the seed and its number alone.
 *
 * @throws {InputError} when there are fewer records than a batch needs.
 *
 * @example
 * const batches = indexedBatches({ length: captions.length, batchSize: 64, seed: 1, make: (rows) => toBatch(rows) });
 */
export function indexedBatches<Batch>(options: IndexedBatchesOptions<Batch>): BatchSource<Batch> {
  const { length, batchSize, seed = 0, inOrder = false, make } = options;
  const perEpoch = Math.floor(length / batchSize);
  if (!Number.isSafeInteger(batchSize) || batchSize < 1 || perEpoch < 1) {
    throw new InputError(
      `indexedBatches: got ${length} records for batches of ${batchSize}, expected at least one batch. Use smaller batches, or more records.`,
    );
  }
  let taken = 0;
  let order: { readonly epoch: number; readonly rows: readonly number[] } | undefined;
  const rowsOf = (epoch: number): readonly number[] => {
    if (order?.epoch !== epoch)
      order = {
        epoch,
        rows: inOrder ? Array.from({ length }, (_, row) => row) : [...permutation(length, combineSeeds(seed, ORDER, epoch))],
      };
    return order.rows;
  };
  return {
    async next(settings) {
      settings.abortSignal?.throwIfAborted();
      const number = taken++;
      const begin = (number % perEpoch) * batchSize;
      const rows = rowsOf(Math.floor(number / perEpoch)).slice(begin, begin + batchSize);
      return make(rows, seededRandom(combineSeeds(seed, DRAWS, number)), settings);
    },
    position: () => taken,
    seek(position: JsonValue) {
      if (typeof position !== 'number' || !Number.isSafeInteger(position) || position < 0) {
        throw new InputError(
          `indexedBatches: the position is ${JSON.stringify(position)}, expected the number of batches that were taken. Resume with the data of the same run.`,
        );
      }
      taken = position;
    },
  };
}

/** What a seed is for. */
const [ORDER, DRAWS] = [1, 2] as const;
