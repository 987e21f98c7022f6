import { InputError } from '@blip2/core';
import * as z from 'zod/mini';
import type { DatasetRecord, IndexedDataset, ReadOptions } from '../records/record.ts';
import {
  checkEpochs,
  checkPosition,
  count,
  type EpochOptions,
  type Epochs,
  iterate,
  type RecordStream,
  type StreamPosition,
} from './record-stream.ts';
import { combineSeeds, permutation } from './seeds.ts';

/**
 * The rows of a data set, each once an epoch, in an order of its own in each. With ranks, the r-th of R takes rows r,
 * r + R, r + 2R, … of the endless sequence, so that all of them have one for as long as the sequence lasts.
 *
 * A position is one number, the same in all ranks that took equally many rows; a run may go on with another count of ranks.
 *
 * @returns a stream; it holds 4 bytes a row for the order.
 * @throws {InputError} when the data set is empty or an option is out of range.
 *
 * @example
 * const stream = streamDataset(captions, { seed: 1 });
 * const first = await stream.next();
 * const position = stream.position(); // JSON
 */
export function streamDataset<Row = DatasetRecord>(dataset: IndexedDataset<Row>, options: EpochOptions = {}): RecordStream<Row> {
  return new IndexedStream(dataset, checkEpochs(options, `streamDataset: ${dataset.name}`));
}

const schema = z.object({ rows: count });

class IndexedStream<Row> implements RecordStream<Row> {
  readonly name: string;
  readonly #dataset: IndexedDataset<Row>;
  readonly #options: Epochs;
  /** Rows that all ranks together have taken. */
  #rows = 0;
  #order: { readonly epoch: number; readonly rows: Uint32Array } | undefined;

  constructor(dataset: IndexedDataset<Row>, options: Epochs) {
    this.name = dataset.name;
    this.#dataset = dataset;
    this.#options = options;
    if (dataset.length > 0) return;
    throw new InputError(`streamDataset: ${this.name} has no rows, expected at least one. Check its file and the split.`);
  }

  async next({ abortSignal }: ReadOptions = {}): Promise<Row | undefined> {
    abortSignal?.throwIfAborted();
    const { length } = this.#dataset;
    const { epochs, rank } = this.#options;
    const row = this.#rows + rank.index;
    const epoch = Math.floor(row / length);
    if (epoch >= epochs) return undefined;
    this.#rows += rank.count;
    return this.#dataset.at(this.#indexOf(epoch, row - epoch * length));
  }

  position(): StreamPosition {
    return { ...this.#identity(), rows: this.#rows };
  }

  async seek(position: StreamPosition): Promise<void> {
    this.#rows = checkPosition(schema, this.#identity(), position, `seek: ${this.name}`).rows;
  }

  async close(): Promise<void> {
    this.#order = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  [Symbol.asyncIterator](): AsyncGenerator<Row, void, undefined> {
    return iterate(this);
  }

  #indexOf(epoch: number, index: number): number {
    const { seed, shuffle } = this.#options;
    if (!shuffle) return index;
    if (this.#order?.epoch !== epoch) {
      this.#order = { epoch, rows: permutation(this.#dataset.length, combineSeeds(seed, epoch)) };
    }
    return this.#order.rows[index]!;
  }

  #identity(): Record<string, string | number | boolean> {
    const { seed, shuffle } = this.#options;
    return { kind: 'dataset', length: this.#dataset.length, seed, shuffle };
  }
}
