import { InputError } from '@blip2/core';
import type { IndexedDataset } from './record.ts';

/**
 * A data set of rows that are made when they are asked for, so that millions of them need not be in memory.
 *
 * @param name - For messages and positions.
 * @param at - Called with integers in `[0, length)` alone.
 *
 * @example
 * const rows = indexedDataset('squares', 10, (index) => index * index);
 */
export function indexedDataset<Row>(name: string, length: number, at: (index: number) => Row): IndexedDataset<Row> {
  return {
    name,
    length,
    at(index) {
      if (Number.isSafeInteger(index) && index >= 0 && index < length) return at(index);
      throw new InputError(`${name}: asked for row ${index}, expected an integer in [0, ${length}). Check the index.`);
    },
  };
}

/**
 * The rows of several data sets, one after another, such as the ten files of GQA's training questions.
 *
 * @throws {InputError} when there is none.
 */
export function concatenateDatasets<Row>(datasets: readonly IndexedDataset<Row>[], name?: string): IndexedDataset<Row> {
  if (datasets.length === 0) throw new InputError('concatenateDatasets: got no data sets, expected at least one. Pass some.');
  const starts = runningSums(datasets.map(({ length }) => length));
  return indexedDataset(name ?? datasets.map((one) => one.name).join(' + '), starts.at(-1)!, (index) => {
    const which = intervalOf(starts, index);
    return datasets[which]!.at(index - starts[which]!);
  });
}

/**
 * The rows that are wanted, looked at once and in order.
 *
 * @example
 * const test = filterDataset(captions, ({ domain }) => domain === 'near-domain');
 */
export function filterDataset<Row>(dataset: IndexedDataset<Row>, isWanted: (row: Row) => boolean): IndexedDataset<Row> {
  const kept: number[] = [];
  for (let index = 0; index < dataset.length; index++) if (isWanted(dataset.at(index))) kept.push(index);
  return indexedDataset(dataset.name, kept.length, (index) => dataset.at(kept[index]!));
}

/** `[0, a, a + b, …]`: where each part begins, and the end. */
export function runningSums(lengths: readonly number[]): number[] {
  const sums = [0];
  for (const length of lengths) sums.push(sums.at(-1)! + length);
  return sums;
}

/** The last `i` with `starts[i] <= value`; empty parts are passed over. */
export function intervalOf(starts: readonly number[], value: number): number {
  let [low, high] = [0, starts.length - 1];
  while (low + 1 < high) {
    const middle = (low + high) >>> 1;
    if (starts[middle]! <= value) low = middle;
    else high = middle;
  }
  return low;
}
