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

/** How {@link BrokenRows} counts. */
export interface BrokenRowsOptions {
  /** Who counts of what, for the message: `loadPixels: photos`. */
  readonly where: string;
  /** What may be broken, in [0, 1]. One alone is borne, however few there are, unless this is 0. */
  readonly maxShare: number;
  /** What is counted. @default 'rows' */
  readonly what?: string;
  /** Rows after which all come again, where that is known. @default Infinity */
  readonly epochRows?: number;
  /** Called for each broken one, in order. */
  readonly onBroken?: (broken: BrokenRow) => void;
}

/** So many rows pass before the share of broken ones means anything, unless there are fewer. */
const FIRST_ROWS = 100;

/** How many problems the error at the end lists. */
const LISTED = 5;

/** Counts what is skipped, and ends the work when that is too much. */
export class BrokenRows {
  readonly #options: BrokenRowsOptions;
  #count = 0;
  readonly #first: string[] = [];

  constructor(options: BrokenRowsOptions) {
    this.#options = options;
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
    this.#options.onBroken?.({ key, index, cause });
  }

  /** @throws {InputError} when more rows are broken than may be, once there were enough to tell. */
  assertFew(rows: number): void {
    if (rows >= Math.min(FIRST_ROWS, this.#options.epochRows ?? Infinity)) this.assertShare(rows);
  }

  /** Of all that there are: also when they are few. @throws {InputError} when more rows are broken than may be, or every one. */
  assertShare(rows: number): void {
    const { maxShare, epochRows = Infinity } = this.#options;
    if (rows === 0 || maxShare === 1 || this.#count / rows <= maxShare) return;
    const borne = maxShare === 0 ? 0 : Math.max(1, Math.ceil(rows / epochRows)); // it comes again in each epoch
    if (this.#count > borne || this.#count === rows) throw this.#tooMany(rows);
  }

  #tooMany(rows: number): InputError {
    const { where, maxShare, what = 'rows' } = this.#options;
    const listed = this.#first.length === 0 ? '' : ` The first:\n${this.#first.map((problem) => `  ${problem}`).join('\n')}\n`;
    return new InputError(
      `${where}: ${this.#count} of ${rows} ${what} are broken, expected at most ${maxShare * 100} %.${listed || ' '}` +
        `Repair the data set, or raise maxBrokenShare.`,
    );
  }
}
