import type { RunOptions } from '@blip2/core';
import { createTrainingStep } from '../../steps/create-training-step.ts';
import type { BatchSource, JsonValue } from '../../trainer/batch-source.ts';
import type { TrainableStep } from '../../trainer/trainable-step.ts';
import type { CompleteRecipe } from '../complete-recipe.ts';
import type { HostBatch, RecipeBatch, RecipeTask, RecipeTree } from './task.ts';

/** Held-out batches of one evaluation, at most. */
export const VALIDATION_BATCHES = 50;

/** Measures the losses of held-out records. */
export interface Evaluator extends Disposable {
  evaluate(options: Pick<RunOptions, 'abortSignal'>): Promise<Readonly<Record<string, number>>>;
}

/**
 * The mean losses of held-out batches, the same each time, without dropout. It has a step of its own with a copy of what trains, which
 * takes steps of no length; it is made when it is first needed.
 *
 * @param batches - Without numbers for dropout. Evaluations begin where it stands.
 * @param count - Batches of an evaluation.
 */
export function createEvaluator(
  task: RecipeTask<never>,
  recipe: CompleteRecipe,
  trained: TrainableStep<never>,
  batches: BatchSource<HostBatch>,
  count: number,
): Evaluator {
  const begin: JsonValue = batches.position();
  let step: TrainableStep<HostBatch> | undefined;
  return {
    async evaluate({ abortSignal }) {
      await batches.seek(begin);
      const sums = new Map<string, number>();
      for (let index = 0; index < count; index++) {
        const batch = await batches.next({ abortSignal });
        step ??= (await createTrainingStep<RecipeTree, RecipeBatch>(task.loss, {
          parameters: task.parameters,
          example: batch as never,
          engine: recipe.engine,
          weightDecay: 0,
          abortSignal,
        })) as TrainableStep<HostBatch>;
        if (index === 0) await step.restore(await trained.state());
        const { loss, metrics } = await step.run(batch, { learningRate: 0, abortSignal });
        for (const [name, value] of Object.entries({ loss, ...metrics })) sums.set(name, (sums.get(name) ?? 0) + value / count);
      }
      return Object.fromEntries(sums);
    },
    [Symbol.dispose]: () => step?.dispose(),
  };
}
