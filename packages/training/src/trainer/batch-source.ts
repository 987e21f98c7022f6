import { InputError, type RunOptions, untilAborted } from '@blip2/core';

/** What a JSON file holds. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** Endless batches in an order that depends on the position alone, so that a resumed run sees what an uninterrupted one sees. */
export interface BatchSource<Batch> {
  /**
   * The next batch. Calls do not overlap.
   * @throws the signal's reason, soon after it aborts.
   */
  next(options: Pick<RunOptions, 'abortSignal'>): Promise<Batch>;
  /** Where the source stands: after the last batch that {@link next} gave. A value of its own, which later batches do not change. */
  position(): JsonValue;
  /** Goes to a position that {@link position} gave, in this program or in another run of it. */
  seek(position: JsonValue): void | Promise<void>;
  /** Called once for each batch when nobody needs it any more: disposes tensors, gives buffers back. @default nothing */
  release?(batch: Batch): void;
}

/**
 * A source that gives so many batches of another one at a time, for steps that accumulate gradients.
 *
 * @param source - Its positions are this one's too.
 * @param count - Batches of a list.
 * @throws {InputError} for a count that is no whole number of 1 or more.
 */
export function batchLists<Batch>(source: BatchSource<Batch>, count: number): BatchSource<readonly Batch[]> {
  if (!Number.isSafeInteger(count) || count < 1)
    throw new InputError(`batchLists: the count is ${count}, expected a whole number of 1 or more. Round it.`);
  const release = (batches: readonly Batch[]): void => {
    for (const batch of batches) source.release?.(batch);
  };
  return {
    async next(options) {
      const batches: Batch[] = [];
      try {
        while (batches.length < count) batches.push(await source.next(options));
      } catch (cause) {
        release(batches);
        throw cause;
      }
      return batches;
    },
    position: () => source.position(),
    seek: (position) => source.seek(position),
    release,
  };
}

/** A batch, and where its source stood after it. */
export interface PlacedBatch<Batch> {
  readonly batch: Batch;
  readonly position: JsonValue;
}

/** Fetches the batch after the present one while a step runs. */
export class BatchQueue<Batch> {
  readonly #source: BatchSource<Batch>;
  readonly #stop: AbortController = new AbortController();
  #waiting: Promise<PlacedBatch<Batch>> | undefined;

  constructor(source: BatchSource<Batch>) {
    this.#source = source;
  }

  /** Starts fetching, unless a batch is on its way. */
  prefetch(): void {
    if (this.#waiting !== undefined) return;
    this.#waiting = this.#fetch();
    this.#waiting.catch(() => undefined); // the error comes again, in `take`
  }

  /** The next batch, the caller's to release. Rejects as soon as the signal aborts; the batch stays here then. */
  async take(abortSignal: AbortSignal | undefined): Promise<PlacedBatch<Batch>> {
    this.prefetch();
    const placed = await untilAborted(this.#waiting!, abortSignal);
    this.#waiting = undefined;
    return placed;
  }

  /** Ends a fetch that is under way and releases what nobody took. */
  async close(): Promise<void> {
    this.#stop.abort();
    const late = await this.#waiting?.catch(() => undefined);
    this.#waiting = undefined;
    if (late !== undefined) this.#source.release?.(late.batch);
  }

  async #fetch(): Promise<PlacedBatch<Batch>> {
    const batch = await this.#source.next({ abortSignal: this.#stop.signal });
    return { batch, position: this.#source.position() }; // before the next fetch moves it
  }
}
