import { type Blip2Error, InputError } from '@blip2/core';

/** A row that was skipped. */
export interface BrokenRow {
  /** The record's key; `undefined` when there was no record to speak of. */
  readonly key: string | undefined;
  /** The row's number in the stream. */
  readonly index: number;
  /** A `DatasetError` or an `ImageError`. */
  readonly cause: Blip2Error;
}

/** So many rows pass before the share of broken ones means anything. */
const FIRST_ROWS = 100;

/** How many problems the error at the end lists. */
const LISTED = 5;

/** Counts what is skipped, and ends the work when that is too much. */
export class BrokenRows {
  readonly #name: string;
  readonly #maxShare: number;
  readonly #listener: ((broken: BrokenRow) => void) | undefined;
  #count = 0;
  readonly #first: string[] = [];

  constructor(name: string, maxShare: number, listener: ((broken: BrokenRow) => void) | undefined) {
    this.#name = name;
    this.#maxShare = maxShare;
    this.#listener = listener;
  }

  get count(): number {
    return this.#count;
  }

  /** Goes on with a count from a position; the problems of that run are not known here. */
  reset(count: number): void {
    this.#count = count;
    this.#first.length = 0;
  }

  add({ key, index, cause }: BrokenRow): void {
    this.#count++;
    if (this.#first.length < LISTED) this.#first.push(key === undefined ? cause.message : `${key}: ${cause.message}`);
    this.#listener?.({ key, index, cause });
  }

  /** @throws {InputError} when more rows are broken than may be. */
  assertFew(rows: number): void {
    if (rows >= FIRST_ROWS && this.#count > this.#maxShare * rows) throw this.#tooMany(rows);
  }

  /** @throws {InputError} at the end of a stream in which every row is broken. */
  assertSome(rows: number): void {
    if (rows > 0 && this.#count === rows && this.#maxShare < 1) throw this.#tooMany(rows);
  }

  #tooMany(rows: number): InputError {
    const listed = this.#first.length === 0 ? '' : ` The first:\n${this.#first.map((problem) => `  ${problem}`).join('\n')}\n`;
    return new InputError(
      `loadPixels: ${this.#name}: ${this.#count} of ${rows} rows are broken, expected at most ${this.#maxShare * 100} %.${listed || ' '}` +
        `Repair the data set, or raise maxBrokenShare.`,
    );
  }
}
