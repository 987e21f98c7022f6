import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFeatureStore, shapesWorldCounts, writeShapesWorld } from '@blip2/datasets/node';
import { fixturePath } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readTrainingLog } from '../../logs/json-lines.ts';
import { checkRecipe } from '../recipe-config.ts';
import { runRecipe, type RecipeResult, type RunRecipeOptions } from './run-recipe.ts';
import { writeShard } from './shard-test-support.ts';

let world: string;
let pictures: Buffer[];
let folder: string;
let remarks: string[];

beforeAll(async () => {
  await tf.setBackend('wasm');
  world = await mkdtemp(join(tmpdir(), 'blip2-broken-data-'));
  await writeShapesWorld(join(world, 'shapes'), { seed: 5, size: 48, counts: shapesWorldCounts(20) });
  const images = join(world, 'shapes/coco/images/train2014');
  pictures = await Promise.all((await readdir(images)).map((name) => readFile(join(images, name))));
});

afterAll(() => rm(world, { recursive: true, force: true }));

beforeEach(async () => {
  folder = await mkdtemp(join(world, 'test-'));
  remarks = [];
});

/** A folder of photographs with a caption each. `undefined` is one that was cut off. */
async function writePhotos(
  name: string,
  images: readonly (Buffer | undefined)[],
  lines: readonly string[] = [],
): Promise<string> {
  const place = join(folder, name);
  await mkdir(place, { recursive: true });
  for (const [index, image] of images.entries()) {
    await writeFile(join(place, `${index}.png`), image ?? pictures[0]!.subarray(0, 200));
  }
  const rows = images.map((_, index) => JSON.stringify({ image: `${index}.png`, caption: `picture ${index}` }));
  await writeFile(join(place, 'captions.jsonl'), [...rows, ...lines].join('\n'));
  return place;
}

function run(recipe: object, options: Partial<RunRecipeOptions> = {}): Promise<RecipeResult> {
  const common = {
    recipe: 'caption',
    model: fixturePath('models', 'blip2-opt'),
    engine: 'eager',
    batchSize: 2,
    steps: 2,
    logEvery: 1,
  };
  return runRecipe(checkRecipe({ ...common, ...recipe }, 'test'), {
    folder: join(folder, 'run'),
    onRemark: (remark) => remarks.push(shown(remark)),
    ...options,
  });
}

/** What libvips says of a file is not always the same. */
const shown = (text: string): string => text.replaceAll(folder, 'FOLDER').replaceAll(/libvips says "[^"]*"/g, 'libvips says "…"');

const messageOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing was refused',
    (error: Error) => shown(error.message),
  );

async function storedIn(name = 'run/features'): Promise<number> {
  using store = await openFeatureStore(join(folder, name));
  return store.keys.length;
}

const lossesOf = async (name: string): Promise<unknown> =>
  (await readTrainingLog(join(folder, name, 'log.jsonl'))).map(({ values }) => values['loss']);

describe('pictures that share a name', () => {
  const still = { seed: 3, dropout: 0, steps: 1 };

  it('in two folders are two pictures', async () => {
    const data = [await writePhotos('a/photos', pictures.slice(0, 3)), await writePhotos('b/photos', pictures.slice(3, 6))];
    const other = [await writePhotos('c/one', pictures.slice(0, 3)), await writePhotos('d/two', pictures.slice(3, 6))];
    await run({ ...still, data, batchSize: 6 });
    expect(await storedIn()).toBe(6);
    await run({ ...still, data: other, batchSize: 6 }, { folder: join(folder, 'apart') });
    expect(await lossesOf('run')).toEqual(await lossesOf('apart'));
  });

  it('in data, validation and another run with the same store are as many as there are', async () => {
    const shapes = async (name: string, seed: number): Promise<object> => {
      const at = join(folder, name);
      await writeShapesWorld(at, { seed, size: 48, counts: shapesWorldCounts(2) });
      return { format: 'coco', path: join(at, 'coco/dataset_coco.json'), images: join(at, 'coco/images'), split: 'train' };
    };
    const [one, two, three] = [await shapes('one', 1), await shapes('two', 2), await shapes('three', 3)];
    const featureStore = join(folder, 'store');
    await run({ ...still, data: one, validation: two, featureStore });
    expect(await storedIn('store')).toBe(4);
    await run({ ...still, data: three, featureStore }, { folder: join(folder, 'second') });
    expect(await storedIn('store')).toBe(6);
    await run({ ...still, data: three }, { folder: join(folder, 'alone') });
    expect(await lossesOf('second')).toEqual(await lossesOf('alone'));
  });

  it('one after the other are encoded anew; equal ones once', async () => {
    const featureStore = join(folder, 'store');
    const data = await writePhotos('photos', [pictures[0], pictures[1], pictures[1]]);
    await run({ ...still, data, featureStore });
    expect(await storedIn('store')).toBe(2);
    await writePhotos('photos', [pictures[0], pictures[2], pictures[1]]);
    await run({ ...still, data, featureStore }, { folder: join(folder, 'second') });
    expect(await storedIn('store')).toBe(3);
    await run({ ...still, data }, { folder: join(folder, 'alone') });
    expect(await lossesOf('second')).toEqual(await lossesOf('alone'));
  });
});

it('features of images that were prepared otherwise are refused', async () => {
  const data = await writePhotos('photos', pictures.slice(0, 2));
  const featureStore = join(folder, 'store');
  await run({ data, featureStore, steps: 1 });
  const model = join(folder, 'model');
  await cp(fixturePath('models', 'blip2-opt'), model, { recursive: true });
  const path = join(model, 'preprocessor_config.json');
  const processor = JSON.parse(await readFile(path, 'utf8')) as object;
  await writeFile(path, JSON.stringify({ ...processor, image_mean: [0.5, 0.5, 0.5] }));
  expect(await messageOf(run({ data, featureStore, model, steps: 1 }, { folder: join(folder, 'other') }))).toMatch(
    /the features were made with identity\.processor\.mean \[0\.48.*, expected \[0\.5,0\.5,0\.5\]/,
  );
});

describe('broken images', () => {
  it('are left out, counted, and remembered when the run goes on', async () => {
    const data = await writePhotos('photos', pictures.slice(0, 10).with(3, undefined as never));
    const first = await run({ data });
    expect(first.leftOut).toBe(1);
    expect(remarks).toMatchInlineSnapshot(`
      [
        "photos:4 is left out: decodeImage: FOLDER/photos/3.png: this PNG file cannot be decoded; libvips says "…". Expected a complete and valid file. Download or copy it again, or save it anew.",
      ]
    `);
    const records = await readTrainingLog(join(folder, 'run', 'log.jsonl'));
    expect(records.map(({ values }) => values['leftOut'])).toEqual([1, 1]);
    const work: string[] = [];
    const onWork = ({ part }: { part: string }): void => void work.push(part);
    expect(await run({ data }, { onWork })).toMatchObject({ step: 2, leftOut: 1 }); // the same command again
    expect(work).not.toContain('features'); // and nothing is encoded to find that out
    const aborted = run({ data }, { abortSignal: AbortSignal.abort(new Error('enough')) });
    await expect(aborted).rejects.toThrow('enough');
    await rm(join(folder, 'run/features/pictures.jsonl'));
    expect(await run({ data })).toMatchObject({ step: 2, leftOut: 1 });
    await writePhotos('photos', pictures.slice(0, 10));
    expect(await run({ data })).toMatchObject({ leftOut: 0 });
  });

  it('end the run when they are too many, also of few', async () => {
    const data = await writePhotos('photos', [pictures[0], ...Array.from({ length: 9 }, () => undefined)]);
    expect(await messageOf(run({ data }))).toMatchInlineSnapshot(`
      "the data: 9 of 10 images are broken, expected at most 1 %. The first:
        photos:2: decodeImage: FOLDER/photos/1.png: this PNG file cannot be decoded; libvips says "…". Expected a complete and valid file. Download or copy it again, or save it anew.
        photos:3: FOLDER/photos/2.png: has the bytes of photos:2, which cannot be decoded. Replace both.
        photos:4: FOLDER/photos/3.png: has the bytes of photos:2, which cannot be decoded. Replace both.
        photos:5: FOLDER/photos/4.png: has the bytes of photos:2, which cannot be decoded. Replace both.
        photos:6: FOLDER/photos/5.png: has the bytes of photos:2, which cannot be decoded. Replace both.
      Repair the data set, or raise maxBrokenShare."
    `);
    const online = run({ data, features: 'online', steps: 40 }, { folder: join(folder, 'online') });
    expect(await messageOf(online)).toContain('9 of 10 rows are broken');
    expect(await run({ data, maxBrokenShare: 0.9 })).toMatchObject({ step: 2, leftOut: 9 }); // in the same folder
  });

  it('are counted where images are encoded each time', async () => {
    const data = await writePhotos('photos', pictures.slice(0, 4).with(3, undefined as never));
    const { leftOut } = await run({ data, features: 'online', steps: 4 });
    expect(leftOut).toBeGreaterThan(0);
  });
});

it('broken lines of a table are left out and counted', async () => {
  const data = await writePhotos('photos', pictures.slice(0, 3), ['{"image": "1.png", "caption": ']);
  expect(await run({ data })).toMatchObject({ step: 2, leftOut: 1 });
  expect(remarks.find((remark) => remark.includes('line 4'))).toMatchInlineSnapshot(
    `"a line is left out: FOLDER/photos/captions.jsonl: line 4: is broken JSON, expected one object a line. Correct the line."`,
  );
  await writePhotos('photos', pictures.slice(0, 3), ['nonsense', 'more nonsense']);
  expect(await messageOf(run({ data }, { folder: join(folder, 'other') }))).toContain('2 of 5 rows are broken');
});

describe('shards', () => {
  const shard = (images: readonly (Buffer | 'no image')[]): Promise<string> =>
    writeShard(join(folder, 'shards', '0.tar'), images);

  it('of a known length are encoded, in epochs and beside a folder', async () => {
    const path = await shard(pictures.slice(0, 4));
    const data = { format: 'webdataset', path, length: 4 };
    expect(await run({ data, steps: undefined, epochs: 2 })).toMatchObject({ step: 4, leftOut: 0 });
    expect(await storedIn()).toBe(4);
    const photos = await writePhotos('photos', pictures.slice(4, 6));
    const mixed = { data: [photos, data], steps: undefined, epochs: 1 };
    expect(await run(mixed, { folder: join(folder, 'mixed') })).toMatchObject({ step: 3 });
    expect(await storedIn('mixed/features')).toBe(6);
  });

  it('with a broken sample are gone on with', async () => {
    const path = await shard([pictures[0]!, 'no image', ...pictures.slice(1, 4)]);
    for (const features of ['cached', 'online']) {
      const result = await run(
        { data: { format: 'webdataset', path, length: 5 }, features, steps: 12 },
        { folder: join(folder, features) },
      );
      expect(result.step).toBe(12);
      expect(result.leftOut).toBeGreaterThan(0);
    }
    expect(await storedIn('cached/features')).toBe(4);
    const many = await shard([pictures[0]!, 'no image', 'no image', pictures[1]!]);
    expect(await messageOf(run({ data: { format: 'webdataset', path: many }, steps: 2 }))).toContain('2 of 4 records are broken');
  });
});
