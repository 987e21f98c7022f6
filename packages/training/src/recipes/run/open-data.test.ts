import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shapesWorldCounts, writeShapesWorld } from '@blip2/datasets/node';
import { fixturePath } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DataEntry } from '../data-entry.ts';
import { checkRecipe } from '../recipe-config.ts';
import { openRecipeData } from './open-data.ts';
import { runRecipe } from './run-recipe.ts';
import { writeShard } from './shard-test-support.ts';

let world: string;
let entries: Record<string, DataEntry>;

beforeAll(async () => {
  await tf.setBackend('wasm');
  world = await mkdtemp(join(tmpdir(), 'blip2-open-data-'));
  await writeShapesWorld(world, { seed: 2, size: 48, counts: shapesWorldCounts(5) });
  const at = (...names: string[]): string => join(world, ...names);
  const images = at('coco', 'images', 'train2014');
  await writeShard(at('shard.tar'), await Promise.all((await readdir(images)).map((name) => readFile(join(images, name)))));
  entries = {
    coco: { format: 'coco', path: at('coco/dataset_coco.json'), images: at('coco/images'), split: 'train' },
    flickr30k: { format: 'flickr30k', path: at('flickr30k/dataset_flickr30k.json'), images: at('flickr30k/flickr30k-images') },
    nocaps: { format: 'nocaps', path: at('nocaps/nocaps_val_4500_captions.json'), images: at('nocaps/images') },
    gqa: { format: 'gqa', path: at('gqa/train_balanced_questions.json'), images: at('gqa/images') },
    vqav2: {
      format: 'vqav2',
      path: at('vqav2/v2_OpenEnded_mscoco_train2014_questions.json'),
      annotations: at('vqav2/v2_mscoco_train2014_annotations.json'),
      images: at('coco/images'),
    },
    webdataset: { format: 'webdataset', path: at('shard.tar'), name: 'shard' },
  };
});

afterAll(() => rm(world, { recursive: true, force: true }));

it.each(['coco', 'flickr30k', 'nocaps', 'gqa', 'vqav2', 'webdataset'])('reads %s once, and without end', async (format) => {
  const data = await openRecipeData([entries[format]!]);
  const once: string[] = [];
  for await (const record of data.once()) {
    once.push(record.key);
    expect((record.captions ?? record.question?.answers)?.length).toBeGreaterThan(0);
    expect((await record.readImage()).length).toBeGreaterThan(50);
  }
  expect(data.length).toBe(format === 'webdataset' ? undefined : once.length);
  await using stream = await data.stream(1);
  const drawn = new Set<string>();
  for (let count = 0; count < 2 * once.length; count++) drawn.add((await stream.next())!.key);
  expect([...drawn].toSorted()).toEqual([...new Set(once)].toSorted());
});

it('mixes sources by their weights', async () => {
  const data = await openRecipeData([
    { ...entries['coco']!, weight: 3 },
    { ...entries['webdataset']!, weight: 1 },
  ]);
  await using stream = await data.stream(4);
  let shards = 0;
  for (let count = 0; count < 400; count++) shards += (await stream.next())!.key.startsWith('shard') ? 1 : 0;
  expect(shards).toBeGreaterThan(70);
  expect(shards).toBeLessThan(130);
  await expect(openRecipeData([entries['coco']!, entries['webdataset']!])).rejects.toThrowErrorMatchingInlineSnapshot(
    `[ConfigError: data[1]: is a WebDataset without weight and length, expected one of them where there are several sources. Add 'weight'.]`,
  );
});

it('trains on shards, whose images are encoded once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'blip2-shards-'));
  const recipe = { recipe: 'caption', model: fixturePath('models', 'blip2-opt'), data: entries['webdataset'], batchSize: 3 };
  try {
    await expect(runRecipe(checkRecipe(recipe, 'test'), { folder })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: the number of records in the shards is not known, expected 'steps', or 'length' of each WebDataset to count epochs by.]`,
    );
    const { step } = await runRecipe(checkRecipe({ ...recipe, steps: 2 }, 'test'), { folder });
    expect(step).toBe(2);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
