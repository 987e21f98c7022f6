/**
 * How fast annotations are read, shards are streamed, and images are loaded, from the system's file cache: a file of as many captions
 * as COCO's, shards of images of 640×480, and these images at 224 pixels with 0, 1 and 2 threads. Run: `node packages/datasets/bench/readers.ts`.
 */
import { createWriteStream, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { seededRandom } from '@blip2/core';
import { indexedDataset, loadPixels, readCocoCaptions, streamDataset, streamWebDataset } from '@blip2/datasets/node';
import { packTar } from 'modern-tar';

/** The part of sharp that makes the photograph. */
type Sharp = (data: Uint8Array, options: object) => { jpeg(options: object): { toBuffer(): Promise<Uint8Array> } };

const TURNS = 3;
const folder = mkdtempSync(join(tmpdir(), 'blip2-bench-'));
try {
  await captions();
  const image = await photo();
  await shards(image);
  await pixels(image);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** The size of `coco_karpathy_train.json`: 113,287 images with 5 captions each. */
async function captions(): Promise<void> {
  const path = join(folder, 'captions.json');
  const file = createWriteStream(path);
  for (let image = 0; image < 113_287; image++) {
    const name = `val2014/COCO_val2014_${String(image).padStart(12, '0')}.jpg`;
    for (let caption = 0; caption < 5; caption++) {
      const text = `A woman wearing a net on her head cutting a cake, number ${caption}.`;
      file.write(
        `${image + caption === 0 ? '[' : ','}\n${JSON.stringify({ caption: text, image: name, image_id: `coco_${image}` })}`,
      );
    }
  }
  file.end(']');
  await finished(file);
  const megabytes = statSync(path).size / 1e6;
  const best = await measure(() => readCocoCaptions(path, { images: folder }));
  report(
    'captions',
    `${megabytes.toFixed(0)} MB, 566,435 captions in ${best.toFixed(2)} s, ${(megabytes / best).toFixed(0)} MB/s`,
  );
}

async function shards(image: Uint8Array): Promise<void> {
  const members = Array.from({ length: 2000 }, (_, index) => [
    { header: { name: `${index}.jpg`, size: image.length }, body: image },
    { header: { name: `${index}.txt`, size: 9 }, body: 'a caption' },
  ]).flat();
  const path = join(folder, 'shard.tar');
  writeFileSync(path, await packTar(members));
  const best = await measure(async () => {
    let rows = 0;
    for await (const { captions: texts } of await streamWebDataset(path, { epochs: 1 })) rows += texts?.length ?? 0;
    if (rows !== 2000) throw new Error(`${rows} rows`);
  });
  report('shard', `2,000 samples in ${best.toFixed(2)} s, ${(2000 / best).toFixed(0)} samples/s`);
}

async function pixels(image: Uint8Array): Promise<void> {
  const rows = indexedDataset('photos', 400, (index) => {
    const key = `photos:${index}`;
    return { key, imageKey: key, imageId: index, readImage: async () => image };
  });
  for (const workers of [0, 1, 2]) {
    const loader = loadPixels(streamDataset(rows), { size: 224, workers });
    await loader.next(); // threads are started
    const best = await measure(async () => {
      for (let index = 0; index < 400; index++) await loader.next();
    });
    await loader.close();
    report(`pixels, ${workers} threads`, `${(400 / best).toFixed(0)} images/s`);
  }
}

/** A JPEG of 640×480 with as many details as a photograph. */
async function photo(): Promise<Uint8Array> {
  const random = seededRandom(1);
  const data = Uint8Array.from({ length: 640 * 480 * 3 }, (_, index) => 128 + 100 * Math.sin(index / 5000) + 24 * random());
  // The library that @blip2/image decodes with; this package does not depend on it.
  const sharp = createRequire(import.meta.resolve('@blip2/image/node'))('sharp') as Sharp;
  return sharp(data, { raw: { width: 640, height: 480, channels: 3 } })
    .jpeg({ quality: 90 })
    .toBuffer();
}

/** The shortest of several times, in seconds. */
async function measure(work: () => Promise<unknown>): Promise<number> {
  let best = Infinity;
  for (let turn = 0; turn < TURNS; turn++) {
    const begin = performance.now();
    await work();
    best = Math.min(best, (performance.now() - begin) / 1000);
  }
  return best;
}

function report(what: string, figures: string): void {
  console.log(`${what.padEnd(20)} ${figures}`);
}
