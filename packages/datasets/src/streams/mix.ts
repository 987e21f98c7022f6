import { DatasetError, InputError, seededRandom } from '@blip2/core';
import * as z from 'zod/mini';
import type { DatasetRecord, ReadOptions } from '../records/record.ts';
import { checkPosition, count, iterate, type RecordStream, type StreamPosition } from './record-stream.ts';
import { assertSeed, combineSeeds } from './seeds.ts';

/** One of the streams that {@link mixStreams} draws from. */
export interface MixPart<Row = DatasetRecord> {
  readonly stream: RecordStream<Row>;
  /** How often it is drawn, in proportion to the others: the length of its data set, say. Above 0. */
  readonly weight: number;
}

/** Options of {@link mixStreams}. */
export interface MixOptions {
  /** Decides which stream is drawn when. @default 0 */
  readonly seed?: number;
}

/**
 * Rows of several streams, drawn with the given weights. A stream that ends is drawn no more; the mixture ends with the last.
 *
 * @param parts - The mixture seeks and closes their streams.
 * @throws {InputError} when there are none or a weight is not above 0.
 *
 * @example
 * const rows = mixStreams([{ stream: coco, weight: 566_747 }, { stream: visualGenome, weight: 768_536 }], { seed: 1 });
 *
 * Source: LAVIS `MultiIterLoader`, whose ratios are these weights.
 */
export function mixStreams<Row = DatasetRecord>(
  parts: readonly MixPart<Row>[],
  { seed = 0 }: MixOptions = {},
): RecordStream<Row> {
  if (parts.length === 0) throw new InputError('mixStreams: got no streams, expected at least one. Pass some.');
  assertSeed(seed, 'mixStreams');
  for (const { stream, weight } of parts) {
    if (weight > 0 && Number.isFinite(weight)) continue;
    throw new InputError(
      `mixStreams: the weight of ${stream.name} is ${weight}, expected a number above 0. Leave the stream out.`,
    );
  }
  return new MixedStream(parts, seed);
}

const schema = z.object({
  draws: count,
  ended: z.array(z.boolean('expected true or false'), 'expected a list'),
  streams: z.array(z.record(z.string(), z.unknown()), 'expected a list'),
});

class MixedStream<Row> implements RecordStream<Row> {
  readonly name: string;
  readonly #parts: readonly MixPart<Row>[];
  readonly #seed: number;
  #draws = 0;
  #ended: readonly boolean[];

  constructor(parts: readonly MixPart<Row>[], seed: number) {
    this.name = parts.map(({ stream }) => stream.name).join(' + ');
    this.#parts = parts;
    this.#seed = seed;
    this.#ended = parts.map(() => false);
  }

  async next(options: ReadOptions = {}): Promise<Row | undefined> {
    options.abortSignal?.throwIfAborted();
    while (this.#ended.includes(false)) {
      const which = this.#draw();
      let row: Row | undefined;
      try {
        row = await this.#parts[which]!.stream.next(options);
      } catch (cause) {
        // A broken row was taken, and the draw with it; an abort took nothing.
        if (DatasetError.isInstance(cause)) this.#draws++;
        throw cause;
      }
      this.#draws++;
      if (row !== undefined) return row;
      this.#ended = this.#ended.map((ended, index) => ended || index === which);
    }
    return undefined;
  }

  position(): StreamPosition {
    const streams = this.#parts.map(({ stream }) => stream.position());
    return { kind: 'mix', seed: this.#seed, parts: this.#parts.length, draws: this.#draws, ended: this.#ended, streams };
  }

  async seek(position: StreamPosition): Promise<void> {
    const where = `seek: ${this.name}`;
    const identity = { kind: 'mix', seed: this.#seed, parts: this.#parts.length };
    const { draws, ended, streams } = checkPosition(schema, identity, position, where);
    if (ended.length !== this.#parts.length || streams.length !== this.#parts.length) {
      throw new InputError(
        `${where}: the position has ${streams.length} streams, expected ${this.#parts.length}. Pass it unchanged.`,
      );
    }
    for (const [index, { stream }] of this.#parts.entries()) await stream.seek(streams[index]!);
    this.#draws = draws;
    this.#ended = ended;
  }

  async close(): Promise<void> {
    await Promise.all(this.#parts.map(({ stream }) => stream.close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  [Symbol.asyncIterator](): AsyncGenerator<Row, void, undefined> {
    return iterate(this);
  }

  /** Which stream comes next: a number of the seed and the draw alone, so that a position need not keep a generator. */
  #draw(): number {
    const weights = this.#parts.map(({ weight }, index) => (this.#ended[index] ? 0 : weight));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let rest = seededRandom(combineSeeds(this.#seed, this.#draws))() * total;
    const drawn = weights.findIndex((weight) => weight > 0 && (rest -= weight) < 0);
    return drawn === -1 ? weights.findLastIndex((weight) => weight > 0) : drawn; // rounding
  }
}
