import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { shapesWorldCounts, writeShapesWorld } from '@blip2/datasets/node';
import { loadLanguageModel } from '@blip2/llm-adapters';
import { loadQFormer } from '@blip2/qformer';
import { fixturePath } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { checkpointFolder } from '../../checkpoints/checkpoint-folder.ts';
import { checkRecipe } from '../recipe-config.ts';
import { exportCheckpoint } from './export-checkpoint.ts';
import { type RecipeResult, runRecipe, type RunRecipeOptions } from './run-recipe.ts';

let world: string;
let folder: string;

beforeAll(async () => {
  await tf.setBackend('wasm');
  world = await mkdtemp(join(tmpdir(), 'blip2-export-'));
  await writeShapesWorld(join(world, 'shapes'), { seed: 1, size: 48, counts: shapesWorldCounts(6) });
});

afterAll(() => rm(world, { recursive: true, force: true }));

beforeEach(async () => {
  folder = await mkdtemp(join(world, 'test-'));
});

function run(recipe: object, options: Partial<RunRecipeOptions> = {}): Promise<RecipeResult> {
  const data = (split: string): object => ({
    format: 'coco',
    path: join(world, 'shapes/coco/dataset_coco.json'),
    images: join(world, 'shapes/coco/images'),
    split,
  });
  const common = { recipe: 'caption', model: fixturePath('models', 'blip2-opt'), engine: 'eager', batchSize: 2, logEvery: 1 };
  const whole = { ...common, data: data('train'), validation: data('val'), evaluateEvery: 1, keep: 1, ...recipe };
  return runRecipe(checkRecipe(whole, 'test'), { folder: join(folder, 'run'), ...options });
}

const weightsOf = (model: string): Promise<Buffer> => readFile(join(model, 'model.safetensors'));

const messageOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing was refused',
    (error: Error) => error.message.replaceAll(folder, 'FOLDER'),
  );

it('the model of a run is the one with the lowest held-out loss, and every checkpoint can be had', async () => {
  const { best, exported, step, models } = await run({ steps: 4, schedule: { kind: 'constant', peak: 0.3 } });
  expect(best!.step).toBeLessThan(4); // at such a rate the first step is not improved on
  expect({ exported, step }).toEqual({ exported: best!.step, step: 4 });
  const place = join(folder, 'run');
  const chosen = await exportCheckpoint(place, { out: join(folder, 'chosen') });
  expect(chosen).toEqual({ models: [join(folder, 'chosen')], step: best!.step });
  expect((await weightsOf(models[0]!)).equals(await weightsOf(chosen.models[0]!))).toBe(true);
  const last = await exportCheckpoint(join(place, 'step-00000004'), { out: join(folder, 'last'), outputDtype: 'fp16' });
  expect(last.step).toBe(4);
  expect((await weightsOf(models[0]!)).equals(await weightsOf(last.models[0]!))).toBe(false);
});

it('a run that was interrupted has a model', async () => {
  const abort = new AbortController();
  const onProgress = ({ step }: { step: number }): void => void (step === 2 && abort.abort());
  const recipe = { steps: 5, validation: undefined, evaluateEvery: 0 };
  await expect(run(recipe, { abortSignal: abort.signal, onProgress })).rejects.toThrow('aborted');
  const tensors = tf.memory().numTensors;
  const { models, step } = await exportCheckpoint(join(folder, 'run'), { out: join(folder, 'model') });
  expect(tf.memory().numTensors).toBe(tensors);
  expect(step).toBe(2);
  const checkpoint = await openCheckpointFolder(models[0]!);
  (await loadQFormer(checkpoint)).dispose();
  (await loadLanguageModel(checkpoint)).dispose();
  checkpoint.dispose();
  expect(await messageOf(exportCheckpoint(join(folder, 'run'), { out: join(folder, 'model') }))).toMatchInlineSnapshot(
    `"FOLDER/model: is there already, expected nothing. Choose another folder."`,
  );
});

it('what is no checkpoint of a recipe is refused', async () => {
  const own = join(folder, 'own');
  const state = { params: {}, first: {}, second: {}, steps: 1 };
  const counts = { skippedSteps: 0, skippedInARow: 0 };
  await checkpointFolder(own, { identity: { seed: 1 } }).save({ step: 1, state, position: null, counts });
  const out = join(folder, 'out');
  expect(await messageOf(exportCheckpoint(own, { out }))).toMatchInlineSnapshot(
    `"FOLDER/own: is a checkpoint of a program's own run, expected one of a recipe. Export it with the program that made it."`,
  );
  expect(await messageOf(exportCheckpoint(join(own, 'step-00000002'), { out }))).toMatchInlineSnapshot(
    `"FOLDER/own/step-00000002: is no whole checkpoint: state.json is missing. Name another one of the run."`,
  );
  expect(await messageOf(exportCheckpoint(folder, { out }))).toMatchInlineSnapshot(
    `"FOLDER: has no whole checkpoint, expected the folder of a run, or of a checkpoint such as step-00000500. Name one."`,
  );
});
