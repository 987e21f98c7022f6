import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { type Engine, type HostTensor, InputError, type Progress, type RunOptions } from '@blip2/core';
import type { AugmentationOptions } from '@blip2/image';
import { trainingFolder } from '../../checkpoints/training-folder.ts';
import { decaysInLavis, layerwiseRates } from '../../groups/groups.ts';
import type { ByPath } from '../../parameters/separate-parameters.ts';
import { createTrainingStep } from '../../steps/create-training-step.ts';
import { batchLists, type BatchSource } from '../../trainer/batch-source.ts';
import { accumulated, type TrainableStep } from '../../trainer/trainable-step.ts';
import { train } from '../../trainer/train.ts';
import type { TrainingResult } from '../../trainer/train-options.ts';
import type { TrainingLogger, TrainingProgress } from '../../trainer/training-log.ts';
import { completeRecipe, type CompleteRecipe } from '../complete-recipe.ts';
import { drawDropoutPool } from '../dropout-pool.ts';
import type { RecipeConfig } from '../recipe-config.ts';
import { createEvaluator, type Evaluator, VALIDATION_BATCHES } from './evaluate.ts';
import { exportModel } from './export-model.ts';
import { cachedFeatures, type ImageInput, onlineImages } from './images.ts';
import { languageTask } from './language-task.ts';
import type { RecipeModel } from './model-parts.ts';
import { openRecipeData, type RecipeData } from './open-data.ts';
import { openRecipeModel } from './open-model.ts';
import { rowBatches } from './row-batches.ts';
import { Resources } from './resources.ts';
import { lacksTexts } from './rows.ts';
import { claimFolder, identityOf } from './run-folder.ts';
import { runLength, scheduleOf } from './schedule-of.ts';
import { stageOneTask } from './stage-one-task.ts';
import { type HostBatch, type RecipeBatch, type RecipeTask, type RecipeTree, taskSettings } from './task.ts';

/** Options of {@link runRecipe}. */
export interface RunRecipeOptions extends Pick<RunOptions, 'abortSignal'> {
  /** Of the run: checkpoints, logs, features, report, and at the end the trained model, in `model/`. */
  readonly folder: string;
  /** More that takes records. @default none */
  readonly loggers?: readonly TrainingLogger[];
  /** Called after each step. */
  readonly onProgress?: (progress: TrainingProgress) => void;
  /** Told about images that are encoded before training, downloads, and weights that are written after it. */
  readonly onWork?: (progress: Progress) => void;
  /** Told what is to be known: skipped images, heads that begin with drawn numbers. @default nobody */
  readonly onRemark?: (remark: string) => void;
  /** Take models from the cache of the Hub alone. @default false */
  readonly offline?: boolean;
  /** Branch, tag or commit of `model` on the Hub. @default the pinned one, else main */
  readonly revision?: string;
}

/** What a run gives. */
export interface RecipeResult extends TrainingResult {
  /** Folders of the trained model: the Hub's layout first, with `lavis` the original one after it. */
  readonly models: readonly string[];
}

/**
 * Trains a model as a recipe says, from its files to files: opens the model and the data, encodes images where they are to be cached, trains,
 * and writes the trained model. Called again with the same recipe and folder it goes on where it was, or is done at once.
 *
 * The gradients of tfjs must be registered, and a backend be set: `import '@tensorflow/tfjs'`.
 *
 * @param config - As `checkRecipe` or `readRecipe` gives it; presets and defaults are filled in.
 * @throws {ConfigError} | {InputError} | {DatasetError} | {CheckpointError} naming what is wrong with recipe, data or model.
 * @throws {TrainingError} when losses are not finite.
 * @throws the abort signal's reason, after what there is was saved.
 *
 * @example
 * import '@tensorflow/tfjs';
 *
 * const recipe = await readRecipe('captions.yaml');
 * const { models } = await runRecipe(recipe, { folder: 'runs/captions' });
 */
export async function runRecipe(config: Partial<RecipeConfig>, options: RunRecipeOptions): Promise<RecipeResult> {
  const resources = new Resources();
  try {
    return await runWith(resources, completeRecipe(config, 'recipe'), options);
  } finally {
    await resources.close();
  }
}

async function runWith(resources: Resources, asked: CompleteRecipe, options: RunRecipeOptions): Promise<RecipeResult> {
  const { folder, abortSignal, onRemark } = options;
  const data = await openRecipeData(asked.data, abortSignal);
  const validation = asked.validation && (await openRecipeData(asked.validation, abortSignal));
  const model = await openRecipeModel(asked, {
    offline: options.offline,
    revision: options.revision,
    abortSignal,
    onProgress: options.onWork,
  });
  resources.defer(() => model.checkpoints.forEach((checkpoint) => checkpoint.dispose()));
  for (const remark of model.remarks) onRemark?.(remark);

  const counted = makeTask(asked, model);
  const rows = countRows(data, counted);
  const recipe = fitted(asked, rows, onRemark);
  const task = recipe === asked ? counted : makeTask(recipe, model);
  const length = runLength(recipe, rows);
  const schedule = scheduleOf(recipe, length);
  const identity = identityOf(recipe, length.totalSteps);
  await claimFolder(folder, identity);

  const images = await openImages(recipe, model, [data, ...(validation ? [validation] : [])], options);
  resources.use(images);
  const batches = await batchesOf(data, images, task, recipe, { dropout: recipe.dropout > 0, seed: recipe.seed });
  resources.use(batches);
  const step = await makeStep(task, recipe, model, await firstOf(batches), abortSignal);
  resources.defer(() => step.dispose());
  const evaluator =
    validation && recipe.evaluateEvery > 0 ? await makeEvaluator(validation, images, task, recipe, step, resources) : undefined;
  const result = await train<never>({
    step: step as TrainableStep<never>,
    batches: (recipe.accumulate > 1 ? batchLists(batches, recipe.accumulate) : batches) as BatchSource<never>,
    schedule,
    totalSteps: length.totalSteps,
    saveEvery: recipe.saveEvery,
    logEvery: recipe.logEvery,
    ...(evaluator && {
      evaluateEvery: recipe.evaluateEvery,
      evaluate: evaluator.evaluate,
      best: { metric: 'loss', better: 'lower' } as const,
    }),
    abortSignal,
    onProgress: options.onProgress,
    samplesPerStep: recipe.batchSize * recipe.accumulate,
    ...trainingFolder(folder, {
      identity,
      keep: recipe.keep,
      title: TITLES[recipe.recipe],
      loggers: options.loggers,
      showProgress: false,
    }),
  });
  return { ...result, models: await writeModel(model, task, step, recipe, options, result.last === undefined) };
}

const TITLES: Readonly<Record<CompleteRecipe['recipe'], string>> = {
  stage1: 'First stage',
  stage2: 'Second stage',
  caption: 'Captions',
  vqa: 'Visual question answering',
  retrieval: 'Retrieval',
};

type Task = RecipeTask<never>;

function makeTask(recipe: CompleteRecipe, model: RecipeModel): Task {
  const settings = taskSettings(recipe, model);
  // What a task makes of a record, it alone reads.
  return (model.language === undefined ? stageOneTask(settings) : languageTask(settings)) as unknown as Task;
}

/** Rows of an epoch. @throws {DatasetError} when there is none. */
function countRows({ datasets, length }: RecipeData, task: Task): number | undefined {
  let rows = 0;
  for (const dataset of datasets) {
    const before = rows;
    for (let index = 0; index < dataset.length; index++) rows += task.countRows(dataset.at(index));
    if (rows === before) throw lacksTexts(dataset.name, task.needs);
  }
  if (length === undefined) return undefined;
  const inShards = length - datasets.reduce((sum, dataset) => sum + dataset.length, 0);
  return rows + inShards; // a row a record, as far as anybody knows
}

/** A batch has no row twice. */
function fitted(recipe: CompleteRecipe, rows: number | undefined, onRemark: RunRecipeOptions['onRemark']): CompleteRecipe {
  if (rows === undefined || recipe.batchSize <= rows) return recipe;
  onRemark?.(`batchSize is ${rows} instead of ${recipe.batchSize}: there are no more rows.`);
  return { ...recipe, batchSize: rows };
}

async function openImages(
  recipe: CompleteRecipe,
  model: RecipeModel,
  data: readonly RecipeData[],
  { folder, abortSignal, onRemark, onWork }: RunRecipeOptions,
): Promise<ImageInput<unknown>> {
  const engine = recipe.engine === 'compiled' ? await compiledEngine() : undefined;
  if (recipe.features === 'cached') {
    const store = recipe.featureStore ?? join(folder, 'features');
    return (await cachedFeatures(model, data, {
      engine,
      maxBrokenShare: recipe.maxBrokenShare,
      folder: store,
      abortSignal,
      onRemark,
      onProgress: onWork,
    })) as ImageInput<unknown>;
  }
  const augmentation = recipe.augmentation as AugmentationOptions | false;
  const { maxBrokenShare } = recipe;
  const settings = { engine, maxBrokenShare, trains: recipe.train.vision, augmentation, abortSignal, onRemark };
  return (await onlineImages(model, settings)) as ImageInput<unknown>;
}

async function compiledEngine(): Promise<Engine> {
  const { onnxEngine } = await import('@blip2/compiler/node');
  return onnxEngine({});
}

type Batches = BatchSource<HostBatch> & AsyncDisposable;

async function batchesOf(
  data: RecipeData,
  images: ImageInput<unknown>,
  task: Task,
  { batchSize }: CompleteRecipe,
  { dropout, seed }: { readonly dropout: boolean; readonly seed: number },
): Promise<Batches> {
  const numbers = new Map<string, number>(); // of images, for as long as the program runs; only equality counts
  const numberOf = (imageKey: string): number => {
    const number = numbers.get(imageKey) ?? numbers.size;
    numbers.set(imageKey, number);
    return number;
  };
  return rowBatches({
    stream: images.stream(await data.stream(seed), seed),
    recordOf: images.recordOf,
    rowsOf: task.rowsOf,
    isUsable: images.isUsable,
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
        Int32Array.from(rows, ({ imageKey }) => numberOf(imageKey)),
        random,
      );
      return {
        [images.kind]: input,
        ...texts,
        ...(dropout && { dropout: drawDropoutPool(random, task.dropoutPool) }),
      } as unknown as HostBatch;
    },
  });
}

/** The first batch, which says how large batches are; the source stands where it stood. */
async function firstOf(batches: Batches): Promise<HostBatch> {
  const begin = batches.position();
  const first = await batches.next({});
  await batches.seek(begin);
  return first;
}

async function makeStep(
  task: Task,
  recipe: CompleteRecipe,
  model: RecipeModel,
  example: HostBatch,
  abortSignal: AbortSignal | undefined,
): Promise<TrainableStep<unknown>> {
  if (Object.keys(task.parameters.trained).length === 0) {
    throw new InputError('runRecipe: nothing trains, expected at least one part. Change train.');
  }
  const { accumulate, engine, optimizer, layerDecay, train: parts } = recipe;
  const step = await createTrainingStep<RecipeTree, RecipeBatch>(task.loss, {
    ...optimizer,
    parameters: task.parameters,
    example: example as never,
    engine,
    accumulate: accumulate > 1,
    decays: decaysInLavis,
    ...(parts.vision && { rateScale: layerwiseRates({ decay: layerDecay, blocks: model.vision.config.layers }) }),
    abortSignal,
  });
  return (accumulate > 1 ? accumulated(step) : step) as TrainableStep<unknown>;
}

async function makeEvaluator(
  validation: RecipeData,
  images: ImageInput<unknown>,
  task: Task,
  recipe: CompleteRecipe,
  step: TrainableStep<unknown>,
  resources: Resources,
): Promise<Evaluator> {
  const rows = countRows(validation, task);
  const count = Math.min(VALIDATION_BATCHES, rows === undefined ? VALIDATION_BATCHES : Math.ceil(rows / recipe.batchSize));
  const batches = resources.use(await batchesOf(validation, images, task, recipe, { dropout: false, seed: recipe.seed }));
  return resources.use(createEvaluator(task, recipe, step as TrainableStep<never>, batches, count));
}

/** Writes what was trained. A run that was complete before has its model already. */
async function writeModel(
  model: RecipeModel,
  task: Task,
  step: TrainableStep<unknown>,
  recipe: CompleteRecipe,
  { folder, abortSignal, onWork }: RunRecipeOptions,
  wasComplete: boolean,
): Promise<string[]> {
  const place = join(folder, 'model');
  const folders = recipe.lavis ? [place, `${place}-lavis`] : [place];
  if (wasComplete && (await Promise.all(folders.map(isThere))).every(Boolean)) return folders;
  const { params } = await step.state();
  const values = params as ByPath<HostTensor>;
  return exportModel(model, place, { ...task.parameters, values, recipe, abortSignal, onProgress: onWork });
}

async function isThere(folder: string): Promise<boolean> {
  return access(join(folder, 'config.json')).then(
    () => true,
    () => false,
  );
}
