// A recipe that a test kills: node killed-recipe-test-child.ts FOLDER DATA. Writes a letter for all that happens.
import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { writeSync } from 'node:fs';
import { fixturePath } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { checkRecipe } from '../recipe-config.ts';
import { runRecipe } from './run-recipe.ts';

/** `e` for images encoded, `.` for a step, `w` for weights of the trained model. */
export type Happening = 'e' | '.' | 'w';

/** A compiled run, from the newest checkpoint in the folder to its model. */
export async function runInFolder(folder: string, data: string, onHappening: (what: Happening) => void): Promise<void> {
  await tf.setBackend('wasm');
  const recipe = { recipe: 'caption', model: fixturePath('models', 'blip2-opt'), data, validation: data, batchSize: 2, steps: 8 };
  const every = { saveEvery: 1, logEvery: 1, evaluateEvery: 3, schedule: { peak: 1e-3 } };
  await runRecipe(checkRecipe({ ...recipe, ...every }, 'test'), {
    folder,
    onProgress: () => onHappening('.'),
    onWork: ({ part }) => onHappening(part === 'features' ? 'e' : 'w'),
  });
}

if (process.argv[1] === import.meta.filename) {
  await runInFolder(process.argv[2]!, process.argv[3]!, (what) => writeSync(1, what));
}
