import { InputError } from '@blip2/core';
import * as z from 'zod/mini';
import type { DatasetRecord, ReadOptions } from '../records/record.ts';
import { assertSeed } from './seeds.ts';

/** Where a stream stands: plain JSON, to be kept in a checkpoint and given to `seek` of a stream made with the same options. */
export type StreamPosition = Readonly<Record<string, unknown>>;

/**
 * Rows one after another, for as many epochs as are wanted, from a place that can be noted and returned to.
 *
 * After `seek(position)` come exactly the rows that would have come after `position()`. One call at a time: await `next`
 * before calling anything else.
 *
 * @typeParam Row - {@link DatasetRecord}; the pixel loader gives loaded images.
 */
export interface RecordStream<Row = DatasetRecord> extends AsyncIterable<Row>, AsyncDisposable {
  /** For messages. */
  readonly name: string;
  /**
   * The next row, or `undefined` at the end.
   *
   * @throws {DatasetError} when the next row is broken. The stream then stands after it, and the next call goes on.
   * @throws the abort signal's reason; the row was not taken, and comes with the next call.
   */
  next(options?: ReadOptions): Promise<Row | undefined>;
  /** Where the stream stands: after the row that `next` gave last. Costs nothing. */
  position(): StreamPosition;
  /**
   * Goes to a position; files are read by the next `next`.
   *
   * @throws {InputError} when the position is malformed or of a stream with other data or options.
   */
  seek(position: StreamPosition): Promise<void>;
  /** Closes files and ends threads. The stream can be used again after `seek`, unless it says otherwise. */
  close(): Promise<void>;
}

/** Which part of the rows this process takes, when several train together. */
export interface Rank {
  /** In `[0, count)`. */
  readonly index: number;
  readonly count: number;
}

/** How a stream repeats and orders its rows. */
export interface EpochOptions {
  /** Decides every order. @default 0 */
  readonly seed?: number;
  /** Another order in each epoch; `false` keeps that of the data set. @default true */
  readonly shuffle?: boolean;
  /** How often each row comes. @default Infinity */
  readonly epochs?: number;
  /** Takes each `count`-th part of the rows. Ranks together give every row of an epoch once. @default all of them */
  readonly rank?: Rank;
}

/** Options with their defaults, checked. */
export interface Epochs {
  readonly seed: number;
  readonly shuffle: boolean;
  readonly epochs: number;
  readonly rank: Rank;
}

/** @throws {InputError} when an option is out of range. */
export function checkEpochs(options: EpochOptions, where: string): Epochs {
  const { seed = 0, shuffle = true, epochs = Infinity, rank = { index: 0, count: 1 } } = options;
  assertSeed(seed, where);
  if (!(epochs === Infinity || Number.isSafeInteger(epochs)) || epochs < 1) {
    throw new InputError(
      `${where}: epochs is ${epochs}, expected an integer of at least 1, or Infinity. Leave it out to repeat.`,
    );
  }
  const { index, count } = rank;
  if (!Number.isSafeInteger(count) || !Number.isSafeInteger(index) || count < 1 || index < 0 || index >= count) {
    throw new InputError(`${where}: rank is ${index} of ${count}, expected an integer in [0, count). Count ranks from 0.`);
  }
  return { seed, shuffle, epochs, rank };
}

/** A stream as an async iterable: from where it stands to its end. */
export async function* iterate<Row>(stream: RecordStream<Row>): AsyncGenerator<Row, void, undefined> {
  for (let row = await stream.next(); row !== undefined; row = await stream.next()) yield row;
}

/** A number in a position: how much of something has passed. */
export const count: z.ZodMiniType<number, unknown> = z.int('expected an integer').check(z.gte(0, 'expected 0 or more'));

/**
 * Checks a position that came from a file.
 *
 * @param schema - Of the fields that move.
 * @param identity - What must be as in the stream that wrote the position: kind, length, seed, …
 * @throws {InputError} naming the fields that do not fit.
 */
export function checkPosition<Fields>(
  schema: z.ZodMiniType<Fields, unknown>,
  identity: Readonly<Record<string, string | number | boolean>>,
  position: StreamPosition,
  where: string,
): Fields {
  for (const [field, mine] of Object.entries(identity)) {
    const found = (position as Readonly<Record<string, unknown>> | null | undefined)?.[field];
    if (found === mine) continue;
    throw new InputError(
      `${where}: the position's ${field} is ${JSON.stringify(found)}, expected ${JSON.stringify(mine)}. ` +
        `Make the stream with the data and options of the run that wrote the position, or begin anew.`,
    );
  }
  const result = z.safeParse(schema, position);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  throw new InputError(
    `${where}: the position's ${path.join('.') || 'value'} does not fit: ${message}. Pass what position() gave, unchanged.`,
    { cause: result.error },
  );
}
