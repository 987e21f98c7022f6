import { access } from 'node:fs/promises';
import { CheckpointError, type HostTensor, type RunOptions } from '@blip2/core';
import { chosenCheckpoint } from '../../checkpoints/chosen-checkpoint.ts';
import type { ByPath } from '../../parameters/separate-parameters.ts';
import type { JsonValue } from '../../trainer/batch-source.ts';
import { completeRecipe, type CompleteRecipe } from '../complete-recipe.ts';
import { checkRecipe } from '../recipe-config.ts';
import { assertOriginalLayout, exportModel } from './export-model.ts';
import { openRecipeModel } from './open-model.ts';
import { recipeParameters, taskSettings } from './task.ts';

/** Options of {@link exportCheckpoint}. */
export interface ExportCheckpointOptions extends RunOptions, Partial<Pick<CompleteRecipe, 'outputDtype' | 'lavis'>> {
  /** The folder to make. */
  readonly out: string;
  /** Take models from the cache of the Hub alone. @default false */
  readonly offline?: boolean;
  /** Of the recipe's `model` on the Hub. @default the pinned one, else main */
  readonly revision?: string;
}

/** What {@link exportCheckpoint} wrote. */
export interface ExportedCheckpoint {
  /** As `models` of `RecipeResult`. */
  readonly models: readonly string[];
  readonly step: number;
}

/**
 * Writes the model that a run had at a checkpoint, also one of a run that was interrupted or still goes on.
 *
 * @param path - The checkpoint's folder, `runs/one/step-00000500`; or that of the run, for the lowest held-out loss, where there is one, else the newest.
 * @throws {CheckpointError} when it is no whole checkpoint of a recipe, or `out` is there already.
 *
 * @example
 * const { models } = await exportCheckpoint('runs/captions/step-00000500', { out: 'captions-500' });
 */
export async function exportCheckpoint(path: string, options: ExportCheckpointOptions): Promise<ExportedCheckpoint> {
  const { out, outputDtype, lavis, offline, revision, abortSignal, onProgress } = options;
  const { checkpoint, identity } = await chosenCheckpoint(path);
  const recipe = completeRecipe({ ...recipeOf(identity, path), outputDtype, lavis }, path);
  for (const folder of recipe.lavis ? [out, `${out}-lavis`] : [out]) await assertNew(folder);
  const model = await openRecipeModel(recipe, { offline, revision, abortSignal, onProgress });
  try {
    if (recipe.lavis) await assertOriginalLayout(model);
    const parameters = recipeParameters(taskSettings(recipe, model));
    const values = checkpoint.state.params as ByPath<HostTensor>;
    const models = await exportModel(model, out, { ...parameters, values, recipe, abortSignal, onProgress });
    return { models, step: checkpoint.step };
  } finally {
    for (const one of model.checkpoints) one.dispose();
  }
}

/** What a run of `runRecipe` puts down as its identity. */
function recipeOf(identity: JsonValue, path: string): ReturnType<typeof checkRecipe> {
  if (typeof identity !== 'object' || identity === null || !('recipe' in identity)) {
    throw new CheckpointError(
      `${path}: is a checkpoint of a program's own run, expected one of a recipe. Export it with the program that made it.`,
      path,
    );
  }
  const { totalSteps: _, ...recipe } = identity as Readonly<Record<string, JsonValue>>;
  return checkRecipe(recipe, path);
}

async function assertNew(folder: string): Promise<void> {
  const isThere = await access(folder).then(
    () => true,
    () => false,
  );
  if (isThere) throw new CheckpointError(`${folder}: is there already, expected nothing. Choose another folder.`, folder);
}
