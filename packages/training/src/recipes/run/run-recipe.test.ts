import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { shapesWorldCounts, writeShapesWorld } from '@blip2/datasets/node';
import { loadLanguageModel } from '@blip2/llm-adapters';
import { loadQFormer } from '@blip2/qformer';
import { fixturePath, TOLERANCE } from '@blip2/testing';
import { loadTokenizer } from '@blip2/tokenizers';
import { loadVisionEncoder } from '@blip2/vision-encoder';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readTrainingLog } from '../../logs/json-lines.ts';
import { checkRecipe, type RecipeInput } from '../recipe-config.ts';
import { type RecipeResult, runRecipe, type RunRecipeOptions } from './run-recipe.ts';

const model = (name: string): string => fixturePath('models', name);

/** Pictures with captions and questions, for all tests. */
let world: string;
let folder: string;
let coco: object;
let questions: object;

beforeAll(async () => {
  await tf.setBackend('wasm');
  world = await mkdtemp(join(tmpdir(), 'blip2-world-'));
  await writeShapesWorld(join(world, 'shapes'), { seed: 1, size: 48, counts: shapesWorldCounts(6) });
  const at = (...names: string[]): string => join(world, 'shapes', ...names);
  coco = { format: 'coco', path: at('coco', 'dataset_coco.json'), images: at('coco', 'images'), split: 'train' };
  questions = {
    format: 'vqav2',
    path: at('vqav2', 'v2_OpenEnded_mscoco_train2014_questions.json'),
    annotations: at('vqav2', 'v2_mscoco_train2014_annotations.json'),
    images: at('coco', 'images'),
  };
  const photos = (await readdir(at('coco', 'images', 'train2014'))).slice(0, 4);
  await mkdir(join(world, 'photos'));
  for (const photo of photos) await copyFile(at('coco', 'images', 'train2014', photo), join(world, 'photos', photo));
  const texts = ['red', 'a big blue box on grass', 'two dogs', 'green circle left'];
  const table = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  await writeFile(join(world, 'photos', 'captions.jsonl'), table(photos.map((image, i) => ({ image, caption: texts[i] }))));
});

afterAll(() => rm(world, { recursive: true, force: true }));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-recipe-run-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

const run = (recipe: RecipeInput | object, options: Partial<RunRecipeOptions> = {}): Promise<RecipeResult> =>
  runRecipe(checkRecipe({ batchSize: 2, steps: 2, logEvery: 1, schedule: { peak: 1e-3 }, ...recipe }, 'test'), {
    folder: join(folder, 'run'),
    ...options,
  });

/** What each recipe begins with; all that training can change is in one of them. */
const RECIPES: Readonly<Record<string, () => object>> = {
  'stage 1': () => ({ recipe: 'stage1', model: model('blip2-itm'), data: coco }),
  'stage 1 from scratch, CLIP': () => ({
    recipe: 'stage1',
    vision: model('clip-vit-l-vision'),
    tokenizer: model('blip2-itm'),
    qformer: { queries: 4, width: 32, layers: 2, heads: 4, feedForwardWidth: 64, maxPositions: 40, contrastiveWidth: 16 },
    data: coco,
  }),
  'stage 2, OPT, online': () => ({
    recipe: 'stage2',
    model: model('blip2-itm'),
    languageModel: model('opt-125m-style'),
    data: coco,
    augmentation: { scale: [0.6, 1] },
  }),
  'captions, Flan-T5, larger images': () => ({ recipe: 'caption', model: model('blip2-flan-t5'), data: coco, imageSize: 56 }),
  'questions, OPT': () => ({ recipe: 'vqa', model: model('blip2-opt'), textBranch: model('blip2-itm'), data: questions }),
  'questions, Flan-T5, sampled': () => ({ recipe: 'vqa', model: model('blip2-flan-t5'), data: questions, answers: 'sampled' }),
  'retrieval, with the encoder': () => ({
    recipe: 'retrieval',
    model: model('blip2-itm'),
    data: coco,
    train: { vision: true },
    layerDecay: 0.9,
  }),
};

describe.each(Object.keys(RECIPES))('%s', (name) => {
  it('has equal losses in both engines, and writes a model that loads', async () => {
    const losses: number[][] = [];
    for (const engine of ['compiled', 'eager']) {
      const place = join(folder, engine);
      const { models } = await run({ ...RECIPES[name]!(), engine }, { folder: place });
      const records = await readTrainingLog(join(place, 'log.jsonl'));
      losses.push(records.map(({ values }) => values['loss']!));
      await expectLoads(models[0]!);
    }
    expect(losses[0]).toHaveLength(2);
    expect(losses[0]).toBeAllclose(losses[1]!, TOLERANCE.activations);
  });
});

/** Every stage takes its weights, no more and no fewer, and tokenizers read. */
async function expectLoads(path: string): Promise<void> {
  const checkpoint = await openCheckpointFolder(path);
  (await loadVisionEncoder(checkpoint)).dispose();
  using qformer = await loadQFormer(checkpoint);
  const writes = checkpoint.weights.names.some((one) => one.startsWith('language_model.'));
  if (writes) (await loadLanguageModel(checkpoint)).dispose();
  if (qformer.config.readsText) {
    const tokenizer = await loadTokenizer(checkpoint, { kind: 'bert' });
    expect(tokenizer.encode('a red circle').length).toBeGreaterThan(2);
  }
  checkpoint.dispose();
}

it('changes what trains and nothing else, and leaves no tensor behind', async () => {
  const tensors = tf.memory().numTensors;
  const { models } = await run({
    recipe: 'caption',
    model: model('blip2-opt'),
    data: coco,
    train: { qformer: false },
    engine: 'eager',
  });
  expect(tf.memory().numTensors).toBe(tensors);
  const [before, after] = [await openCheckpointFolder(model('blip2-opt')), await openCheckpointFolder(models[0]!)];
  expect(after.weights.names.toSorted()).toEqual(before.weights.names.toSorted());
  const changed = new Set<string>();
  for (const name of before.weights.names) {
    const [old, now] = [await before.weights.get(name)!.read(), await after.weights.get(name)!.read()];
    if (old.some((value, index) => value !== now[index])) changed.add(name.split('.').slice(0, 2).join('.'));
  }
  expect([...changed].toSorted()).toEqual([
    'language_projection.bias',
    'language_projection.weight',
    'query_tokens',
    'vision_model.post_layernorm',
  ]);
  before.dispose();
  after.dispose();
});

it.each([
  ['cached', { answers: 'expanded', accumulate: 2 }],
  ['augmented', { answers: 'sampled', augmentation: {} }],
])('goes on after an abort as if nothing had happened, and is done at once when it is done: %s', async (_, more) => {
  const common = { model: model('blip2-flan-t5'), data: questions, steps: 5, batchSize: 3, outputDtype: 'fp16' };
  const recipe = { recipe: 'vqa', ...common, ...more };
  const whole = join(folder, 'whole');
  await run(recipe, { folder: whole });
  const abort = new AbortController();
  const place = join(folder, 'parts');
  const onProgress = ({ step }: { step: number }): void => {
    if (step === 2) abort.abort();
  };
  await expect(run(recipe, { folder: place, abortSignal: abort.signal, onProgress })).rejects.toThrow('aborted');
  const { models, step } = await run(recipe, { folder: place });
  expect(step).toBe(5);
  const values = async (path: string): Promise<unknown> =>
    (await readTrainingLog(join(path, 'log.jsonl'))).map((record) => record.values);
  expect(await values(place)).toEqual(await values(whole));
  const files = async (path: string): Promise<Buffer> => readFile(join(path, 'model', 'model.safetensors'));
  expect((await files(place)).equals(await files(whole))).toBe(true);
  const again = await run(recipe, { folder: place });
  expect(again).toMatchObject({ models, step: 5 });
  expect(again.last).toBeUndefined();
  await expect(run({ ...recipe, seed: 7 }, { folder: place })).rejects.toThrow(/holds another run: seed is 0 there and 7 here/);
});

it('measures held-out pairs without changing the run', async () => {
  const recipe = { recipe: 'caption', model: model('blip2-opt'), data: coco, dropout: 0.1, steps: 3 };
  await run(recipe, { folder: join(folder, 'alone') });
  const { evaluation } = await run(
    { ...recipe, validation: join(world, 'photos'), evaluateEvery: 2 },
    { folder: join(folder, 'held-out') },
  );
  expect(evaluation?.['loss']).toBeGreaterThan(0);
  const of = async (name: string) =>
    (await readTrainingLog(join(folder, name, 'log.jsonl'))).filter(({ kind }) => kind === 'training');
  expect((await of('held-out')).map(({ values }) => values)).toEqual((await of('alone')).map(({ values }) => values));
});

it('refuses the original layout before it trains, where that has no place for something', async () => {
  const recipe = { recipe: 'caption', model: model('blip2-opt'), data: coco, lavis: true };
  await expect(run(recipe)).rejects.toThrow('the original layout has no place for one');
  expect(await readdir(folder)).toEqual([]);
});

it('writes the original layout too', async () => {
  // The fixture's keys have biases, which the original layout has no place for; EVA's have none.
  const place = join(folder, 'no-key-bias');
  await withoutKeyBias(model('blip2-opt'), place);
  const { models } = await run({ recipe: 'caption', model: place, data: coco, train: { vision: true }, lavis: true });
  expect(models.map((one) => one.replace(folder, ''))).toEqual(['/run/model', '/run/model-lavis']);
  const [hub, lavis] = [await openCheckpointFolder(models[0]!), await openCheckpointFolder(models[1]!)];
  expect(lavis.weights.names.toSorted()).toEqual(hub.weights.names.toSorted()); // the Hub's names inside, whatever the files say
  const name = 'vision_model.encoder.layers.2.mlp.fc1.weight';
  expect(await lavis.weights.get(name)!.read()).toEqual(await hub.weights.get(name)!.read());
  hub.dispose();
  lavis.dispose();
});

async function withoutKeyBias(from: string, to: string): Promise<void> {
  const { writeWeights } = await import('@blip2/checkpoints/node');
  const checkpoint = await openCheckpointFolder(from);
  const tensors = await Promise.all(
    checkpoint.weights.names.map(async (name) => {
      const weight = checkpoint.weights.get(name)!;
      const values = Float32Array.from(await weight.read());
      if (name.endsWith('.qkv.bias')) values.fill(0, values.length / 3, (2 * values.length) / 3);
      return { name, shape: weight.shape, values };
    }),
  );
  await writeWeights(to, tensors);
  for (const file of await readdir(from))
    if (/\.(json|txt)$/.test(file) && !file.startsWith('golden')) await copyFile(join(from, file), join(to, file));
  checkpoint.dispose();
}

it('refuses what cannot be trained, with words that say why', async () => {
  const table = async (name: string, ...rows: object[]): Promise<string> => {
    const path = join(world, 'photos', name);
    await writeFile(path, rows.map((row) => JSON.stringify(row)).join('\n'));
    return path;
  };
  const broken = await table('broken.jsonl', { image: 'missing.png', caption: 'x' });
  const mute = await table('mute.jsonl', { image: 'missing.png' });
  const opt = model('blip2-opt');
  const problems = [
    { recipe: 'caption', model: opt, data: broken },
    { recipe: 'caption', model: opt, data: mute },
    { recipe: 'vqa', model: opt, data: coco },
    { recipe: 'caption', model: model('blip2-itm'), data: coco },
    { recipe: 'caption', model: model('opt-125m-style'), data: coco },
    { recipe: 'stage1', model: model('clip-vit-l-vision'), data: coco },
    { recipe: 'vqa', model: opt, data: questions, readQuestion: true },
    { recipe: 'caption', model: opt, data: coco, imageSize: 50 },
    { recipe: 'caption', model: opt, data: coco, maxTextTokens: 100 },
    { recipe: 'stage1', model: model('blip2-itm'), data: coco, batchSize: 1 },
    { recipe: 'stage1', model: opt, data: coco },
    { recipe: 'caption', model: opt, data: '/nowhere' },
  ];
  const messages: string[] = [];
  const before = tf.memory().numTensors;
  for (const [index, problem] of problems.entries()) {
    const error = await run(problem, { folder: join(folder, `${index}`) }).catch((cause: unknown) => cause as Error);
    const text = error instanceof Error ? error.message : 'nothing is wrong';
    messages.push(text.replaceAll(world, 'WORLD').replaceAll(fixturePath('models'), 'MODELS').replaceAll(folder, 'FOLDER'));
  }
  expect(tf.memory().numTensors).toBe(before);
  expect(messages).toMatchInlineSnapshot(`
    [
      "the data: 1 of 1 images are broken, expected at most 1 %. The first:
      photos:1: WORLD/photos/missing.png: there is no such file. Check the folder of images, or download those that are missing.
    Repair the data set, or raise maxBrokenShare.",
      "photos: has no captions, expected some. A table needs the columns 'caption'; test splits have no answers.",
      "coco captions: has no questions with answers, expected some. A table needs the columns 'question' and 'answer'; test splits have no answers.",
      "MODELS/blip2-itm: has no language model. Name one with 'languageModel', such as a folder of OPT or Flan-T5.",
      "MODELS/opt-125m-style: is a model of type "opt", expected "blip-2". Name a BLIP-2 model.",
      "MODELS/clip-vit-l-vision: is a model of type "clip_vision_model", expected "blip-2". Write 'vision' instead of 'model' to begin from an image encoder.",
      "readQuestion: the Q-Former of MODELS/blip2-opt reads no text, expected one that does. Name a stage-1 model with textBranch, or leave readQuestion out.",
      "imageSize is 50, expected a multiple of the patches of 14 pixels, such as 56. The model was trained with 42.",
      "maxTextTokens is 100, expected at most 58: the language model has 64 positions, and 6 are the queries'.",
      "stage1: batchSize is 1, expected 2 or more: wrong partners come from the same batch.",
      "MODELS/blip2-opt/vocab.txt: found a tokenizer.json of another family and no such file, expected the files of the BERT tokenizer. Add them to the folder.",
      "/nowhere: is no .jsonl or .csv file, nor a folder with one of metadata.jsonl, metadata.csv, captions.jsonl, captions.csv, data.jsonl, data.csv in it. Write one line an image, such as {"image": "rex.jpg", "caption": "a dog on a beach"}.",
    ]
  `);
});
