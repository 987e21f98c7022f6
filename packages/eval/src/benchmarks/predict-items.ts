import { InputError } from '@blip2/core/errors';
import type { Id } from '../ids.ts';
import { indexById } from '../ids.ts';
import type { Journal, JournalCodec } from './journal.ts';

/** How far a run is. */
export interface RunProgress {
  /** What is being done: `captions`, `answers`, `similarities`, `matching`. */
  readonly part: string;
  readonly done: number;
  readonly total: number;
  /** By the speed so far; absent before the first batch. */
  readonly secondsLeft?: number;
}

/** What every run of a benchmark accepts. */
export interface PredictOptions {
  /** Items that the model is given at once. @default 8 */
  readonly batchSize?: number;
  /** Where finished items are kept, and found again. @default nowhere */
  readonly journal?: Journal;
  readonly onProgress?: (progress: RunProgress) => void;
  /** Stops the run; the call rejects with the signal's reason. What is finished is in the journal. */
  readonly abortSignal?: AbortSignal;
}

/** One part of a run. */
export interface PredictedPart<Item, Prediction> {
  readonly part: string;
  readonly codec: JournalCodec<Prediction>;
  /** @returns one prediction an item, in the order given. */
  predict(items: readonly Item[]): Promise<readonly Prediction[]>;
}

/**
 * Runs a model over items, batch by batch; those that a journal has are not run again.
 *
 * @returns in the order of the items.
 * @throws {InputError} when two items have one id, or the model gives another number of predictions than there are items.
 */
export async function predictItems<Item extends { readonly id: Id }, Prediction>(
  items: readonly Item[],
  { part, codec, predict }: PredictedPart<Item, Prediction>,
  { batchSize = 8, journal, onProgress, abortSignal }: PredictOptions,
): Promise<Map<Id, Prediction>> {
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new InputError(`${part}: batchSize is ${batchSize}, expected a whole number of at least 1.`);
  const found = new Map<Id, Prediction>();
  const left: Item[] = [];
  for (const [id, item] of indexById(part, items, (each) => each.id)) {
    const known = journal?.take(part, id);
    const prediction = known === undefined ? undefined : codec.fromJson(known);
    if (prediction === undefined) left.push(item);
    else found.set(id, prediction);
  }
  const total = items.length;
  onProgress?.({ part, done: found.size, total });
  const begin = performance.now();
  for (let at = 0; at < left.length; at += batchSize) {
    abortSignal?.throwIfAborted();
    const batch = left.slice(at, at + batchSize);
    const predictions = await predict(batch);
    if (predictions.length !== batch.length)
      throw new InputError(
        `${part}: the model gave ${predictions.length} predictions for ${batch.length} items, expected one each, in their order.`,
      );
    await journal?.append(
      part,
      batch.map(({ id }, place) => [id, codec.toJson(predictions[place]!)] as const),
    );
    for (const [place, { id }] of batch.entries()) found.set(id, predictions[place]!);
    const done = at + batch.length;
    const secondsLeft = (((performance.now() - begin) / 1000) * (left.length - done)) / done;
    onProgress?.({ part, done: found.size, total, secondsLeft });
  }
  return new Map(items.map(({ id }) => [id, found.get(id)!]));
}
