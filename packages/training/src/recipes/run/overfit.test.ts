import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { shapesWorldCounts, writeShapesWorld } from '@blip2/datasets/node';
import { fixturePath } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkRecipe } from '../recipe-config.ts';
import { runRecipe } from './run-recipe.ts';

/** It was trained on scenes of shapes, and can be prompted to tell of them. */
const LANGUAGE_MODEL = fileURLToPath(new URL('../../../../tiny/models/opt', import.meta.url));

const TEXTS = ['a red circle', 'two blue squares and a green star', 'a large pink heart above a ring', 'a striped yellow cross'];
const QUESTIONS = [
  'what color is the heart?',
  'how many objects are there?',
  'is there a ring?',
  'what shape is the red object?',
];
const ANSWERS = ['pink', '4', 'no', 'cross'];

let folder: string;
let photos: string;

beforeAll(async () => {
  await tf.setBackend('wasm');
  folder = await mkdtemp(join(tmpdir(), 'blip2-overfit-'));
  await writeShapesWorld(join(folder, 'world'), { seed: 1, size: 48, counts: shapesWorldCounts(4) });
  photos = join(folder, 'world', 'coco', 'images', 'train2014');
  const images = (await readdir(photos)).slice(0, 4);
  const write = (name: string, rowOf: (image: string, index: number) => object): Promise<void> =>
    writeFile(join(photos, name), images.map((image, index) => `${JSON.stringify(rowOf(image, index))}\n`).join(''));
  await write('captions.jsonl', (image, index) => ({ image, caption: TEXTS[index] }));
  // Of every picture each is said as often: nothing in the picture tells which.
  await write('captions-shuffled.jsonl', (image) => ({ image, captions: TEXTS }));
  await write('questions.jsonl', (image, index) => ({ image, question: QUESTIONS[index], answer: ANSWERS[index] }));
  await write('questions-shuffled.jsonl', (image) => ({ image, question: QUESTIONS[0], answers: ANSWERS }));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** The losses of the last step. */
async function learn(recipe: object, table: string, steps: number): Promise<Record<string, number>> {
  const given = {
    model: fixturePath('models/blip2-itm'),
    data: join(photos, `${table}.jsonl`),
    batchSize: 4,
    steps,
    dropout: 0,
    logEvery: steps,
    schedule: { peak: 1e-2, warmupSteps: 20, minimum: 0 },
    optimizer: { weightDecay: 0, clipNorm: 1 },
    ...recipe,
  };
  const { last } = await runRecipe(checkRecipe(given, 'test'), { folder: await mkdtemp(join(folder, 'run-')) });
  return { loss: last!.loss, ...last!.metrics };
}

describe('four pairs are learned by heart, and shuffled ones are not', () => {
  it('stage 1', async () => {
    const learnt = await learn({ recipe: 'stage1' }, 'captions', 160);
    const shuffled = await learn({ recipe: 'stage1' }, 'captions-shuffled', 160);
    // Floors: smoothed labels leave 0.3488 to the contrast of four, and 0.8995 to 321 words. Shuffled pairs leave ln 4, and H(1/3).
    expect(learnt['contrast']).toBeLessThan(0.3488 + 0.01);
    expect(learnt['matching']).toBeLessThan(0.01);
    expect(learnt['captioning']).toBeLessThan(0.8995 + 0.1);
    expect(shuffled['contrast']).toBeGreaterThan(1.3);
    expect(shuffled['matching']).toBeGreaterThan(0.55);
  });

  it.each(['stage2', 'caption'])('%s, through a frozen language model', async (name) => {
    const schedule = { peak: 2e-2, warmupSteps: 20, minimum: 0 };
    const recipe = { recipe: name, languageModel: LANGUAGE_MODEL, schedule };
    const learnt = await learn(recipe, 'captions', 300);
    const shuffled = await learn(recipe, 'captions-shuffled', 300);
    expect(learnt['loss']).toBeLessThan(0.25);
    expect(shuffled['loss']).toBeGreaterThan(0.5);
  });

  it('questions, through a frozen language model', async () => {
    const recipe = { recipe: 'vqa', languageModel: LANGUAGE_MODEL };
    const learnt = await learn(recipe, 'questions', 200);
    const shuffled = await learn(recipe, 'questions-shuffled', 200);
    expect(learnt['loss']).toBeLessThan(0.02);
    expect(shuffled['loss']).toBeGreaterThan(0.4); // one of four, and the end: ln 4 / 2 at best
  });
});
