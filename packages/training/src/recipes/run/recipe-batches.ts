import type { BatchSource } from '../../trainer/batch-source.ts';
import type { TrainableStep } from '../../trainer/trainable-step.ts';
import type { CompleteRecipe } from '../complete-recipe.ts';
import { drawDropoutPool } from '../dropout-pool.ts';
import type { ImageInput } from './images.ts';
import type { RecipeData } from './open-data.ts';
import { rowBatches } from './row-batches.ts';
import type { HostBatch, RecipeTask } from './task.ts';

/** Batches of a recipe, and what its data lack. */
export interface RecipeBatches extends BatchSource<HostBatch>, AsyncDisposable {
  /**
   * Images and records that are broken and were left out.
   * @param batch - Until this one was drawn. @default so far
   */
  leftOut(batch?: unknown): number;
}

/** Draws records, makes rows of them, and of rows the tensors of a batch. */
export async function recipeBatches(
  data: RecipeData,
  images: ImageInput<unknown>,
  task: RecipeTask<never>,
  { batchSize }: CompleteRecipe,
  { dropout, seed }: { readonly dropout: boolean; readonly seed: number },
): Promise<RecipeBatches> {
  const numbers = new Map<string, number>(); // of pictures, for as long as the program runs; only equality counts
  const numberOf = (picture: string): number => {
    const number = numbers.get(picture) ?? numbers.size;
    numbers.set(picture, number);
    return number;
  };
  const stream = await images.stream(data, seed);
  const leftOut = new WeakMap<object, number>();
  const source = rowBatches({
    stream,
    recordOf: images.recordOf,
    rowsOf: task.rowsOf,
    pictureOf: images.pictureOf,
    batchSize,
    images: task.images,
    seed,
    make: async (rows, random, settings) => {
      const input = await images.read(
        rows.map(({ item }) => item),
        settings,
      );
      const texts = task.texts(
        rows.map(({ row }) => row),
        Int32Array.from(rows, ({ picture }) => numberOf(picture)),
        random,
      );
      const batch = {
        [images.kind]: input,
        ...texts,
        ...(dropout && { dropout: drawDropoutPool(random, task.dropoutPool) }),
      } as unknown as HostBatch;
      leftOut.set(batch, images.leftOut(stream));
      return batch;
    },
  });
  return {
    next: (options) => source.next(options),
    position: () => source.position(),
    seek: (position) => source.seek(position),
    leftOut: (batch) => (batch === undefined ? undefined : leftOut.get(batch as object)) ?? images.leftOut(stream),
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  };
}

/** A step whose reports, and so the log, say how much was left out: a run goes on, and somebody should know without what. */
export function countingLeftOut(step: TrainableStep<unknown>, batches: RecipeBatches): TrainableStep<unknown> {
  return {
    async run(batch, options) {
      const report = await step.run(batch, options);
      const leftOut = batches.leftOut(Array.isArray(batch) ? batch.at(-1) : batch);
      return leftOut === 0 ? report : { ...report, metrics: { ...report.metrics, leftOut } };
    },
    state: () => step.state(),
    restore: (state) => step.restore(state),
    dispose: () => step.dispose(),
  };
}
