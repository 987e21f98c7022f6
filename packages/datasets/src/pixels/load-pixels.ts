import { DatasetError, Blip2Error, ImageError, InputError, untilAborted } from '@blip2/core';
import type { AugmentationOptions, ImageSize, RgbImage } from '@blip2/image';
import * as z from 'zod/mini';
import type { DatasetRecord, ReadOptions } from '../records/record.ts';
import { checkPosition, count, iterate, type RecordStream, type StreamPosition } from '../streams/record-stream.ts';
import { assertSeed, combineSeeds } from '../streams/seeds.ts';
import { firstFile } from '../readers/image-files.ts';
import { BrokenRows, type BrokenRow } from '../records/broken-rows.ts';
import { defaultWorkerCount, type PixelWorkers, startPixelWorkers } from './pixel-workers.ts';

/** A record with its pixels. */
export interface LoadedImage<Row extends DatasetRecord = DatasetRecord> {
  readonly record: Row;
  /** The record's number in the stream, from 0; broken ones are counted too. */
  readonly index: number;
  /** `[height, width, 3]` bytes of the size that was asked for; yours. `normalizeImages` of `@blip2/image` makes batches of them. */
  readonly image: RgbImage;
}

/** Options of {@link loadPixels}. */
export interface PixelLoaderOptions {
  /** Of the pixels that come out: the side of a square, or height and width. */
  readonly size: number | ImageSize;
  /** With the record's number it decides crop and mirroring. Ranks should each have their own. @default 0 */
  readonly seed?: number;
  /** A random part, mirrored or not, as training sees images; `false` squeezes the whole image to the size, as evaluation does. @default {} */
  readonly augmentation?: AugmentationOptions | false;
  /** Threads that decode and resize; 0 does it on this one. @default processors - 1, at least 1, at most 8 */
  readonly workers?: number;
  /** Images that are on their way or wait: the bound of memory. @default 4 a worker, at least 8 */
  readonly prefetch?: number;
  /** What share of the rows may be broken, once there were 100 or all. One row alone may be, unless this is 0. @default 0.01 */
  readonly maxBrokenShare?: number;
  /** Rows after which all come again, where that is known: the share is looked at then, if there are fewer than 100. @default Infinity */
  readonly epochRows?: number;
  /** Called for each row that is skipped, in order. */
  readonly onBroken?: (broken: BrokenRow) => void;
  /** Images with more pixels are broken. @default 178_956_970 */
  readonly maxPixels?: number;
}

/** Options, checked. */
interface Settings {
  readonly size: ImageSize;
  readonly seed: number;
  readonly augmentation: AugmentationOptions | undefined;
  readonly workers: number;
  readonly prefetch: number;
  readonly maxPixels: number | undefined;
}

/**
 * Decodes the images of a stream, ahead of time and on several threads, and cuts and mirrors them by chance.
 *
 * Order is that of the stream, and an image depends on the seed and the record's number alone: neither on the number of threads
 * nor on which is done first. Records that are broken, or whose image is missing or broken, are skipped and counted; when there
 * are more than `maxBrokenShare` of them, loading ends with an error that lists the first.
 *
 * A position is that of the image given last; what was loaded ahead is loaded again after `seek`.
 *
 * @param stream - The loader reads, seeks and closes it.
 * @returns a stream of pixels; `close` it to end its threads.
 * @throws {InputError} when an option is out of range; from `next`, when too many rows are broken.
 *
 * @example
 * const loader = loadPixels(streamDataset(captions, { seed: 1 }), { size: 224, seed: 1 });
 * for await (const { record, image } of loader) console.log(record.captions, image.width);
 * await loader.close();
 *
 * Source: LAVIS `blip2_image_train` for what happens to an image.
 */
export function loadPixels<Row extends DatasetRecord = DatasetRecord>(
  stream: RecordStream<Row>,
  options: PixelLoaderOptions,
): RecordStream<LoadedImage<Row>> {
  const { size, seed = 0, augmentation = {}, workers = defaultWorkerCount(), maxBrokenShare = 0.01, maxPixels } = options;
  const { prefetch = Math.max(8, 4 * workers) } = options;
  assertSeed(seed, 'loadPixels');
  const { height, width } = typeof size === 'number' ? { height: size, width: size } : size;
  assertInteger(height, 1, 'the height of size');
  assertInteger(width, 1, 'the width of size');
  assertInteger(workers, 0, 'workers');
  assertInteger(prefetch, 1, 'prefetch');
  if (!(maxBrokenShare >= 0 && maxBrokenShare <= 1)) {
    throw new InputError(
      `loadPixels: maxBrokenShare is ${maxBrokenShare}, expected a number in [0, 1]. 0.01 is one in a hundred.`,
    );
  }
  const settings: Settings = {
    size: { height, width },
    seed,
    augmentation: augmentation === false ? undefined : augmentation,
    workers,
    prefetch,
    maxPixels,
  };
  return new PixelLoader(
    stream,
    settings,
    new BrokenRows({
      where: `loadPixels: ${stream.name}`,
      maxShare: maxBrokenShare,
      epochRows: options.epochRows,
      onBroken: options.onBroken,
    }),
  );
}

function assertInteger(value: number, least: number, what: string): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new InputError(`loadPixels: ${what} is ${value}, expected an integer of at least ${least}. Change the option.`);
}

/** Messages name the file, where there is one. */
async function nameOfImage({ key, imageFiles = [] }: DatasetRecord): Promise<string> {
  return imageFiles.length > 1 ? ((await firstFile(imageFiles)) ?? key) : (imageFiles[0] ?? key);
}

/** A record on its way, and where the stream stood after it. */
interface Drawn<Row> {
  readonly kind: 'row';
  readonly row: Row;
  readonly index: number;
  readonly after: StreamPosition;
}

/** What becomes of a place in the queue. */
type Outcome<Row> =
  | { readonly kind: 'image'; readonly value: LoadedImage<Row & DatasetRecord>; readonly after: StreamPosition }
  | {
      readonly kind: 'broken';
      readonly cause: Blip2Error;
      readonly key: string | undefined;
      readonly index: number;
      readonly after: StreamPosition;
    }
  | { readonly kind: 'failed'; readonly cause: unknown }
  | { readonly kind: 'end' };

const schema = z.object({ rows: count, broken: count, stream: z.record(z.string(), z.unknown()) });

class PixelLoader<Row extends DatasetRecord> implements RecordStream<LoadedImage<Row>> {
  readonly name: string;
  readonly #stream: RecordStream<Row>;
  readonly #settings: Settings;
  readonly #broken: BrokenRows;
  #workers: PixelWorkers | undefined;
  /** Rows given out or skipped, and where the stream stood after them. */
  #rows = 0;
  #here: StreamPosition;
  /** What comes next, in order; each settles in its own time, and none rejects. */
  #queue: Promise<Outcome<Row>>[] = [];
  /** The number of the row that is drawn next, and the draw under way: one at a time. */
  #drawnRows = 0;
  #lastDraw: Promise<unknown> = Promise.resolve();
  #isAtEnd = false;
  #reading = new AbortController();

  constructor(stream: RecordStream<Row>, settings: Settings, broken: BrokenRows) {
    this.name = stream.name;
    this.#stream = stream;
    this.#settings = settings;
    this.#broken = broken;
    this.#here = stream.position();
  }

  async next({ abortSignal }: ReadOptions = {}): Promise<LoadedImage<Row> | undefined> {
    for (;;) {
      abortSignal?.throwIfAborted();
      this.#broken.assertFew(this.#rows);
      while (this.#queue.length < this.#settings.prefetch) this.#queue.push(this.#start());
      const outcome = await untilAborted(this.#queue[0]!, abortSignal);
      // An end or a failure stays at the head, for whoever asks again.
      if (outcome.kind === 'failed') throw outcome.cause;
      if (outcome.kind === 'end') {
        this.#broken.assertShare(this.#rows);
        return undefined;
      }
      void this.#queue.shift();
      this.#here = outcome.after;
      this.#rows++;
      if (outcome.kind === 'image') return outcome.value;
      this.#broken.add(outcome);
    }
  }

  position(): StreamPosition {
    return { ...this.#identity(), rows: this.#rows, broken: this.#broken.count, stream: this.#here };
  }

  async seek(position: StreamPosition): Promise<void> {
    const { rows, broken, stream } = checkPosition(schema, this.#identity(), position, `seek: ${this.name}`);
    await this.#stop();
    await this.#stream.seek(stream);
    this.#goTo(rows, stream);
    this.#broken.reset(broken);
  }

  async close(): Promise<void> {
    const workers = this.#workers;
    this.#workers = undefined;
    await Promise.all([this.#stop(), workers?.close()]);
    await this.#stream.seek(this.#here);
    this.#goTo(this.#rows, this.#here);
    await this.#stream.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  [Symbol.asyncIterator](): AsyncGenerator<LoadedImage<Row>, void, undefined> {
    return iterate(this);
  }

  /** Gives up what is on its way, and waits until nothing reads the stream any more. */
  async #stop(): Promise<void> {
    this.#reading.abort(new DOMException('The loader was closed or sent elsewhere.', 'AbortError'));
    await Promise.all(this.#queue);
    this.#queue = [];
    this.#reading = new AbortController();
  }

  #goTo(rows: number, stream: StreamPosition): void {
    this.#rows = this.#drawnRows = rows;
    this.#here = stream;
    this.#isAtEnd = false;
  }

  #start(): Promise<Outcome<Row>> {
    const drawn = this.#lastDraw.then(() => this.#draw());
    this.#lastDraw = drawn;
    return drawn.then((one) => (one.kind === 'row' ? this.#load(one) : one));
  }

  async #draw(): Promise<Drawn<Row> | Outcome<Row>> {
    if (this.#isAtEnd) return { kind: 'end' };
    const index = this.#drawnRows++;
    try {
      const row = await this.#stream.next({ abortSignal: this.#reading.signal });
      if (row !== undefined) return { kind: 'row', row, index, after: this.#stream.position() };
      this.#isAtEnd = true;
      return { kind: 'end' };
    } catch (cause) {
      if (DatasetError.isInstance(cause)) return { kind: 'broken', cause, key: undefined, index, after: this.#stream.position() };
      this.#isAtEnd = true;
      return { kind: 'failed', cause };
    }
  }

  async #load({ row, index, after }: Drawn<Row>): Promise<Outcome<Row>> {
    const { size, seed, augmentation, maxPixels } = this.#settings;
    try {
      const bytes = await row.readImage({ abortSignal: this.#reading.signal });
      this.#reading.signal.throwIfAborted();
      this.#workers ??= startPixelWorkers(this.#settings.workers);
      const task = { bytes, name: await nameOfImage(row), size, seed: combineSeeds(seed, index), augmentation, maxPixels };
      const result = await this.#workers.prepare(task);
      if ('problem' in result) return { kind: 'broken', cause: new ImageError(result.problem), key: row.key, index, after };
      return { kind: 'image', value: { record: row, index, image: result.image }, after };
    } catch (cause) {
      const isBroken = DatasetError.isInstance(cause) || ImageError.isInstance(cause);
      return isBroken ? { kind: 'broken', cause, key: row.key, index, after } : { kind: 'failed', cause };
    }
  }

  #identity(): Record<string, string | number | boolean> {
    return { kind: 'pixels', seed: this.#settings.seed };
  }
}
