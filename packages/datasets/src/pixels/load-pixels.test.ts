import { DatasetError, InputError, seededRandom } from '@blip2/core';
import { augmentForTraining, resizeBicubic } from '@blip2/image';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { encodePng, picture } from '../__fixtures__/png.ts';
import { indexedDataset } from '../records/indexed-dataset.ts';
import type { DatasetRecord } from '../records/record.ts';
import { streamDataset } from '../streams/indexed-stream.ts';
import type { EpochOptions, RecordStream, StreamPosition } from '../streams/record-stream.ts';
import { combineSeeds } from '../streams/seeds.ts';
import type { BrokenRow } from '../records/broken-rows.ts';
import { type LoadedImage, loadPixels, type PixelLoaderOptions } from './load-pixels.ts';

const SIZE = { height: 5, width: 4 };

/** How many images were read, for tests of what is read ahead. */
interface Reads {
  count: number;
}

/** What is wrong with a row: its image is missing, no image, or the row itself cannot be had. */
type Flaw = 'missing' | 'no image' | 'no row';

function dataset(length: number, flaws: ReadonlyMap<number, Flaw> = new Map(), reads: Reads = { count: 0 }) {
  return indexedDataset<DatasetRecord>('pictures', length, (index) => {
    const flaw = flaws.get(index);
    if (flaw === 'no row') throw new DatasetError(`row ${index} is broken`, 'pictures.tar');
    return {
      key: `pictures:${index}`,
      imageKey: `pictures:${index}`,
      imageId: index,
      async readImage() {
        reads.count++;
        if (flaw === 'missing') throw new DatasetError(`${index}.png: there is no such file`, `${index}.png`);
        return flaw === 'no image' ? new TextEncoder().encode('<html>') : encodePng(picture(index));
      },
    };
  });
}

const inOrder: EpochOptions = { shuffle: false, epochs: 1 };

function loaderOf(
  length: number,
  options: Partial<PixelLoaderOptions> = {},
  flaws?: ReadonlyMap<number, Flaw>,
  epochs = inOrder,
) {
  const loader = loadPixels(streamDataset(dataset(length, flaws), epochs), {
    size: SIZE,
    workers: 0,
    maxBrokenShare: 1,
    ...options,
  });
  onTestFinished(() => loader.close());
  return loader;
}

async function take(loader: RecordStream<LoadedImage>, count = 1000): Promise<LoadedImage[]> {
  const images: LoadedImage[] = [];
  while (images.length < count) {
    const image = await loader.next();
    if (image === undefined) break;
    images.push(image);
  }
  return images;
}

const summary = (images: readonly LoadedImage[]) =>
  images.map(({ record, index, image }) => [record.key, index, [...image.data]]);

describe('pixels', () => {
  it.each([0, 1, 3])('are those of the plain functions, in order, with %i threads', async (workers) => {
    const images = await take(loaderOf(12, { workers, seed: 7 }));
    expect(images.map(({ record }) => record.imageId)).toEqual(Array.from({ length: 12 }, (_, index) => index));
    for (const { image, index } of images) {
      expect(image).toEqual(augmentForTraining(picture(index), SIZE, seededRandom(combineSeeds(7, index)), {}));
    }
    const whole = await take(loaderOf(3, { workers, augmentation: false, size: 6 }));
    expect(whole.map(({ image }) => image)).toEqual(
      [0, 1, 2].map((index) => resizeBicubic(picture(index), { width: 6, height: 6 })),
    );
  });

  it('differ from epoch to epoch and from seed to seed', async () => {
    const twice = await take(loaderOf(1, {}, undefined, { epochs: 2 }));
    expect(twice[0]!.image).not.toEqual(twice[1]!.image);
    const other = await take(loaderOf(1, { seed: 1 }));
    expect(other[0]!.image).not.toEqual(twice[0]!.image);
  });

  it('after a position are those that would have come, whatever is broken', async () => {
    const flaw = fc.constantFrom<Flaw>('missing', 'no image', 'no row');
    const flaws = fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), flaw), { maxLength: 6 }).map((pairs) => new Map(pairs));
    const epochs = fc.record({ seed: fc.integer(), shuffle: fc.boolean(), epochs: fc.constant(2) });
    await fc.assert(
      fc.asyncProperty(flaws, epochs, fc.nat(20), fc.integer({ min: 1, max: 9 }), async (broken, order, cut, prefetch) => {
        const make = () => loaderOf(10, { prefetch, maxBrokenShare: 1 }, broken, order);
        const loader = make();
        const all = summary(await take(loader));
        expect(all).toHaveLength(20 - 2 * broken.size);
        const first = make();
        expect(summary(await take(first, cut))).toEqual(all.slice(0, cut));
        const position = JSON.parse(JSON.stringify(first.position())) as StreamPosition;
        expect(summary(await take(first, 2))).toEqual(all.slice(cut, cut + 2));
        await first.seek(position);
        expect(summary(await take(first))).toEqual(all.slice(cut));
        const resumed = make();
        await resumed.seek(position);
        expect(resumed.position()).toEqual(position);
        expect(summary(await take(resumed))).toEqual(all.slice(cut));
        // Closing loses nothing either.
        await loader.seek(position);
        await take(loader, 1);
        await loader[Symbol.asyncDispose](); // as `await using` does
        expect(summary(await take(loader))).toEqual(all.slice(cut + 1));
      }),
      { numRuns: 40 },
    );
  });
});

it('no more images are read ahead than is allowed', async () => {
  const reads = { count: 0 };
  const loader = loadPixels(streamDataset(dataset(50, undefined, reads), inOrder), { size: SIZE, workers: 0, prefetch: 3 });
  expect(reads.count).toBe(0);
  for (let given = 1; given <= 50; given++) {
    await loader.next();
    expect(reads.count).toBeLessThanOrEqual(given + 2);
  }
  await loader.close();
});

describe('broken rows', () => {
  const every = (step: number, length: number) =>
    new Map(Array.from({ length: Math.ceil(length / step) }, (_, index): [number, Flaw] => [index * step, 'no image']));

  it('are skipped and reported, in order', async () => {
    const seen: BrokenRow[] = [];
    const flaws = new Map<number, Flaw>([
      [1, 'missing'],
      [2, 'no image'],
      [4, 'no row'],
    ]);
    const options = { maxBrokenShare: 0.5, workers: 1, onBroken: (row: BrokenRow) => seen.push(row) };
    const loader = loaderOf(6, options, flaws);
    expect((await take(loader)).map(({ index }) => index)).toEqual([0, 3, 5]);
    expect(loader.position()).toMatchObject({ rows: 6, broken: 3 });
    expect(seen.map(({ key, index, cause }) => `${index} ${key} ${String(cause)}`)).toMatchInlineSnapshot(`
      [
        "1 pictures:1 DatasetError: 1.png: there is no such file",
        "2 pictures:2 ImageError: decodeImage: pictures:2: found an HTML page, expected a JPEG, PNG, WebP, GIF or AVIF image. Check that this is the file you mean, or convert it to PNG or JPEG first.",
        "4 undefined DatasetError: row 4 is broken",
      ]
    `);
  });

  it('end the work when there are too many after the first hundred', async () => {
    const loader = loaderOf(300, { maxBrokenShare: 0.1 }, every(9, 300));
    const images: number[] = [];
    const problem = await (async () => {
      for await (const { index } of loader) images.push(index);
    })().catch((error: unknown) => error);
    expect(InputError.isInstance(problem)).toBe(true);
    expect(String(problem)).toMatchInlineSnapshot(`
      "InputError: loadPixels: pictures: 12 of 100 rows are broken, expected at most 10 %. The first:
        pictures:0: decodeImage: pictures:0: found an HTML page, expected a JPEG, PNG, WebP, GIF or AVIF image. Check that this is the file you mean, or convert it to PNG or JPEG first.
        pictures:9: decodeImage: pictures:9: found an HTML page, expected a JPEG, PNG, WebP, GIF or AVIF image. Check that this is the file you mean, or convert it to PNG or JPEG first.
        pictures:18: decodeImage: pictures:18: found an HTML page, expected a JPEG, PNG, WebP, GIF or AVIF image. Check that this is the file you mean, or convert it to PNG or JPEG first.
        pictures:27: decodeImage: pictures:27: found an HTML page, expected a JPEG, PNG, WebP, GIF or AVIF image. Check that this is the file you mean, or convert it to PNG or JPEG first.
        pictures:36: decodeImage: pictures:36: found an HTML page, expected a JPEG, PNG, WebP, GIF or AVIF image. Check that this is the file you mean, or convert it to PNG or JPEG first.
      Repair the data set, or raise maxBrokenShare."
    `);
    expect(images.at(-1)).toBe(98); // row 99 is broken too
    await expect(loader.next()).rejects.toThrow('12 of 100 rows are broken');
    expect(await take(loaderOf(300, { maxBrokenShare: 0.12 }, every(9, 300)))).toHaveLength(300 - 34);
  });

  it('end the work when there are too many of few, but one alone is borne', async () => {
    const some = (count: number) => new Map(Array.from({ length: count }, (_, index): [number, Flaw] => [index, 'no image']));
    await expect(take(loaderOf(10, { maxBrokenShare: 0.01 }, some(9)))).rejects.toThrow('9 of 10 rows are broken');
    await expect(take(loaderOf(10, { maxBrokenShare: 0.01 }, some(2)))).rejects.toThrow('2 of 10 rows are broken');
    expect(await take(loaderOf(10, { maxBrokenShare: 0.01 }, some(1)))).toHaveLength(9);
    await expect(take(loaderOf(10, { maxBrokenShare: 0 }, some(1)))).rejects.toThrow('1 of 10 rows are broken');
  });

  it('of an endless stream are looked at when its first epoch is over, and one comes again in each', async () => {
    const endless: EpochOptions = { seed: 1 };
    const epochRows = 10;
    const two = new Map<number, Flaw>([
      [3, 'missing'],
      [4, 'missing'],
    ]);
    const refused = take(loaderOf(10, { maxBrokenShare: 0.01, epochRows }, two, endless), 40);
    await expect(refused).rejects.toThrow('2 of 10 rows are broken');
    const one = loaderOf(10, { maxBrokenShare: 0.01, epochRows }, new Map([[3, 'missing']]), endless);
    expect(await take(one, 400)).toHaveLength(400);
  });

  it('end the work when all are', async () => {
    await expect(take(loaderOf(5, { maxBrokenShare: 0.5 }, every(1, 5)))).rejects.toThrow('5 of 5 rows are broken');
    expect(await take(loaderOf(5, { maxBrokenShare: 1 }, every(1, 5)))).toEqual([]);
  });
});

describe('an end from outside', () => {
  it('an abort rejects with its reason, and loses no image', async () => {
    for (const workers of [0, 1]) {
      const loader = loaderOf(4, { workers });
      const controller = new AbortController();
      const reason = new Error('enough');
      const waiting = loader.next({ abortSignal: controller.signal });
      controller.abort(reason);
      await expect(waiting).rejects.toBe(reason);
      expect((await take(loader)).map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    }
  });

  it('what is no flaw of a row is thrown as it is, again and again', async () => {
    const bug = new TypeError('a bug');
    const rows = indexedDataset<DatasetRecord>('r', 2, (index) => ({
      key: `r:${index}`,
      imageKey: `r:${index}`,
      imageId: index,
      readImage: async () => (index === 0 ? encodePng(picture(0)) : Promise.reject(bug)),
    }));
    const loader = loadPixels(streamDataset(rows, inOrder), { size: 3, workers: 0 });
    await loader.next();
    await expect(loader.next()).rejects.toBe(bug);
    await expect(loader.next()).rejects.toBe(bug);
  });

  it('options that cannot be used are refused', () => {
    const stream = streamDataset(dataset(1));
    const options: PixelLoaderOptions[] = [
      { size: 0 },
      { size: { height: 3, width: 1.5 } },
      { size: 3, workers: -1 },
      { size: 3, prefetch: 0 },
      { size: 3, seed: NaN },
      { size: 3, maxBrokenShare: 2 },
    ];
    const messages = options.map((one) => {
      try {
        return loadPixels(stream, one);
      } catch (error) {
        return String(error);
      }
    });
    expect(messages).toMatchInlineSnapshot(`
      [
        "InputError: loadPixels: the height of size is 0, expected an integer of at least 1. Change the option.",
        "InputError: loadPixels: the width of size is 1.5, expected an integer of at least 1. Change the option.",
        "InputError: loadPixels: workers is -1, expected an integer of at least 0. Change the option.",
        "InputError: loadPixels: prefetch is 0, expected an integer of at least 1. Change the option.",
        "InputError: loadPixels: seed is NaN, expected an integer. Pass one, and the same to repeat a run.",
        "InputError: loadPixels: maxBrokenShare is 2, expected a number in [0, 1]. 0.01 is one in a hundred.",
      ]
    `);
  });
});
