import { DatasetError, InputError } from '@blip2/core';
import * as z from 'zod/mini';
import type { DatasetRecord, ReadOptions, RowOrProblem } from '../records/record.ts';
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

/** A part of a data set that can only be read from its beginning. */
export interface RecordShard<Row = DatasetRecord> {
  /** For messages. */
  readonly name: string;
  /**
   * Its rows, the same at each call. What is broken comes as an error in its place, and counts as a row.
   *
   * @param skip - So many rows are passed over, without the work of making them.
   */
  open(skip: number): AsyncIterable<RowOrProblem<Row>>;
}

/** Options of {@link streamShards}. */
export interface ShardStreamOptions extends EpochOptions {
  /** Rows that are in memory and shuffled at a time. @default 1000 */
  readonly bufferRows?: number;
}

const DEFAULT_BUFFER_ROWS = 1000;

/** An endless stream gives up when so many epochs had no row. One is not enough: a rank may meet empty shards alone for a while. */
const EMPTY_EPOCHS = 100;

/**
 * The rows of shards: the order of shards is drawn anew in each epoch, and rows are shuffled in a buffer that is filled from
 * the shards in that order, given out, and filled again. With ranks, the r-th of R reads shards r, r + R, r + 2R, … of the
 * endless sequence.
 *
 * A position says where the buffer began and how much of it was given out, so that going on reads at most what is before it
 * in one shard, and one buffer.
 *
 * @throws {InputError} when there are no shards or an option is out of range.
 */
export function streamShards<Row = DatasetRecord>(
  name: string,
  shards: readonly RecordShard<Row>[],
  options: ShardStreamOptions = {},
): RecordStream<Row> {
  const where = `streamShards: ${name}`;
  if (shards.length === 0) throw new InputError(`${where}: got no shards, expected at least one. Check their names.`);
  const { bufferRows = DEFAULT_BUFFER_ROWS } = options;
  if (!Number.isSafeInteger(bufferRows) || bufferRows < 1) {
    throw new InputError(`${where}: bufferRows is ${bufferRows}, expected an integer of at least 1. Leave it out for 1000.`);
  }
  return new ShardStream(name, shards, checkEpochs(options, where), bufferRows);
}

/** A row: the number of its shard in the endless sequence of shards, and the rows before it there. */
interface Place {
  readonly shard: number;
  readonly row: number;
}

/** Rows in the order in which they are given out, and where the next buffer begins. */
interface Buffer<Row> {
  readonly rows: readonly RowOrProblem<Row>[];
  readonly end: Place;
}

const schema = z.object({ shard: count, row: count, taken: count });

class ShardStream<Row> implements RecordStream<Row> {
  readonly name: string;
  readonly #shards: readonly RecordShard<Row>[];
  readonly #options: Epochs;
  readonly #bufferRows: number;
  /** Where the present buffer began, … */
  #begin: Place;
  /** … and how many of its rows were given out. */
  #taken = 0;
  #buffer: Buffer<Row> | undefined;
  /** The shard that is open, and the row it gives next. */
  #reader: { place: Place; readonly rows: AsyncIterator<RowOrProblem<Row>> } | undefined;
  #order: { readonly epoch: number; readonly shards: Uint32Array } | undefined;

  constructor(name: string, shards: readonly RecordShard<Row>[], options: Epochs, bufferRows: number) {
    this.name = name;
    this.#shards = shards;
    this.#options = options;
    // In order, a buffer has no use.
    this.#bufferRows = options.shuffle ? bufferRows : 1;
    this.#begin = { shard: options.rank.index, row: 0 };
  }

  async next({ abortSignal }: ReadOptions = {}): Promise<Row | undefined> {
    abortSignal?.throwIfAborted();
    this.#buffer ??= await this.#fill(abortSignal);
    if (this.#taken >= this.#buffer.rows.length) {
      if (this.#buffer.rows.length === 0) return undefined;
      this.#turnOver(this.#buffer.end);
      return this.next({ abortSignal });
    }
    const row = this.#buffer.rows[this.#taken++]!;
    if (DatasetError.isInstance(row)) throw row;
    return row;
  }

  position(): StreamPosition {
    return { ...this.#identity(), ...this.#begin, taken: this.#taken };
  }

  async seek(position: StreamPosition): Promise<void> {
    const { shard, row, taken } = checkPosition(schema, this.#identity(), position, `seek: ${this.name}`);
    const { index, count: ranks } = this.#options.rank;
    if (shard % ranks !== index || taken > this.#bufferRows) {
      throw new InputError(
        `seek: ${this.name}: the position's shard ${shard} with ${taken} rows taken is not one of rank ${index} of ${ranks}. ` +
          `Pass what position() gave, unchanged.`,
      );
    }
    await this.close();
    this.#turnOver({ shard, row });
    this.#taken = taken;
  }

  async close(): Promise<void> {
    this.#turnOver(this.#begin, this.#taken);
    const reader = this.#reader;
    this.#reader = undefined;
    await reader?.rows.return?.();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  [Symbol.asyncIterator](): AsyncGenerator<Row, void, undefined> {
    return iterate(this);
  }

  #turnOver(begin: Place, taken = 0): void {
    this.#begin = begin;
    this.#taken = taken;
    this.#buffer = undefined;
  }

  /** Reads a buffer from where it begins; it ends with its epoch at the latest. Empty at the end of the last epoch. */
  async #fill(abortSignal: AbortSignal | undefined): Promise<Buffer<Row>> {
    try {
      const rows: RowOrProblem<Row>[] = [];
      let place = this.#begin;
      let epoch = this.#epochOf(place);
      let emptyShards = 0;
      while (rows.length < this.#bufferRows && epoch < this.#options.epochs) {
        abortSignal?.throwIfAborted();
        const found = await this.#read(place);
        if (found !== undefined) {
          rows.push(found.row);
          place = { shard: place.shard, row: place.row + 1 };
          emptyShards = 0;
          continue;
        }
        if (++emptyShards > EMPTY_EPOCHS * this.#shards.length) throw this.#noRows();
        place = { shard: place.shard + this.#options.rank.count, row: 0 };
        if (this.#epochOf(place) !== epoch && rows.length > 0) break;
        epoch = this.#epochOf(place);
      }
      return { rows: this.#shuffled(rows), end: place };
    } catch (cause) {
      // A partly filled buffer is given up: the next call fills it from where it began.
      await this.close();
      throw cause;
    }
  }

  async #read(place: Place): Promise<{ readonly row: RowOrProblem<Row> } | undefined> {
    if (this.#reader?.place.shard !== place.shard || this.#reader.place.row !== place.row) {
      await this.#reader?.rows.return?.();
      this.#reader = { place, rows: this.#shardAt(place.shard).open(place.row)[Symbol.asyncIterator]() };
    }
    const { done, value } = await this.#reader.rows.next();
    if (done === true) {
      this.#reader = undefined;
      return undefined;
    }
    this.#reader.place = { shard: place.shard, row: place.row + 1 };
    return { row: value };
  }

  #shuffled(rows: readonly RowOrProblem<Row>[]): readonly RowOrProblem<Row>[] {
    if (!this.#options.shuffle) return rows;
    const { shard, row } = this.#begin;
    return Array.from(permutation(rows.length, combineSeeds(this.#options.seed, shard, row)), (index) => rows[index]!);
  }

  #epochOf({ shard }: Place): number {
    return Math.floor(shard / this.#shards.length);
  }

  #shardAt(shard: number): RecordShard<Row> {
    const { length } = this.#shards;
    const epoch = Math.floor(shard / length);
    const index = shard - epoch * length;
    if (!this.#options.shuffle) return this.#shards[index]!;
    if (this.#order?.epoch !== epoch) {
      this.#order = { epoch, shards: permutation(length, combineSeeds(this.#options.seed, epoch)) };
    }
    return this.#shards[this.#order.shards[index]!]!;
  }

  #noRows(): InputError {
    const { name } = this.#shards[0]!;
    return new InputError(
      `${this.name}: found no row in ${this.#shards.length} shards, expected some. Check that they are the files you mean: '${name}'.`,
    );
  }

  #identity(): Record<string, string | number | boolean> {
    const { seed, shuffle, rank } = this.#options;
    const shards = this.#shards.length;
    return { kind: 'shards', shards, bufferRows: this.#bufferRows, seed, shuffle, rank: `${rank.index} of ${rank.count}` };
  }
}
