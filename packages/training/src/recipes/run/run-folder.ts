import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileProblem, writePending } from '@blip2/checkpoints/node';
import { CheckpointError, listSome } from '@blip2/core';
import { differences } from '../../checkpoints/identity.ts';
import { isMissing } from '../../checkpoints/checkpoint-names.ts';
import type { JsonValue } from '../../trainer/batch-source.ts';
import type { CompleteRecipe } from '../complete-recipe.ts';
import { jsonFile } from './model-files.ts';

/** What a run may change when it goes on. */
const FREE = [
  'saveEvery',
  'keep',
  'logEvery',
  'evaluateEvery',
  'engine',
  'outputDtype',
  'lavis',
  'preset',
  'featureStore',
  'maxBrokenShare', // what is left out is the same, or the run ends
] as const;

/** What makes a run the run it is. */
export function identityOf(recipe: CompleteRecipe, totalSteps: number): JsonValue {
  const fixed = Object.entries({ ...recipe, totalSteps }).filter(([name]) => !(FREE as readonly string[]).includes(name));
  return JSON.parse(JSON.stringify(Object.fromEntries(fixed))) as JsonValue;
}

/**
 * Makes the folder of a run, or comes back to it: `recipe.json` says whose it is.
 *
 * @throws {CheckpointError} when it is another run's, naming what differs.
 */
export async function claimFolder(folder: string, identity: JsonValue): Promise<void> {
  const path = join(folder, 'recipe.json');
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw fileProblem('write', folder, cause);
  });
  const found = await readFile(path, 'utf8').catch((cause: unknown) => {
    if (isMissing(cause)) return undefined;
    throw fileProblem('read', path, cause);
  });
  if (found === undefined) {
    await (await writePending(path, (append) => append(jsonFile(identity)))).commit();
    return;
  }
  const different = differences(parsed(found, path), identity);
  if (different.length === 0) return;
  throw new CheckpointError(
    `${folder}: holds another run: ${listSome(different, '; ')}. Train with the settings it was made with, or choose another folder.`,
    folder,
  );
}

function parsed(text: string, path: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue;
  } catch (cause) {
    throw new CheckpointError(
      `${path}: is broken JSON. Remove it to go on with the checkpoints beside it, or choose another folder.`,
      path,
      { cause },
    );
  }
}
