import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { type Engine, type HostTensor, InputError, type Progress, type RunOptions } from '@blip2/core';
import type { AugmentationOptions } from '@blip2/image';
import { checkpointAt } from '../../checkpoints/chosen-checkpoint.ts';
import { stepFolder } from '../../checkpoints/checkpoint-names.ts';
import { trainingFolder } from '../../checkpoints/training-folder.ts';
import { decaysInLavis, layerwiseRates } from '../../groups/groups.ts';
import type { ByPath } from '../../parameters/separate-parameters.ts';
import { createTrainingStep } from '../../steps/create-training-step.ts';
import { batchLists, type BatchSource } from '../../trainer/batch-source.ts';
import { accumulated, type StepState, type TrainableStep } from '../../trainer/trainable-step.ts';
import { train } from '../../trainer/train.ts';
import type { TrainingResult } from '../../trainer/train-options.ts';
import type { TrainingLogger, TrainingProgress } from '../../trainer/training-log.ts';
import { completeRecipe, type CompleteRecipe } from '../complete-recipe.ts';
import type { RecipeConfig } from '../recipe-config.ts';
import { createEvaluator, type Evaluator, VALIDATION_BATCHES } from './evaluate.ts';
import { assertOriginalLayout, exportModel } from './export-model.ts';
import { cachedFeatures, type ImageInput, onlineImages } from './images.ts';
import { languageTask } from './language-task.ts';
import type { RecipeModel } from './model-parts.ts';
import { openRecipeData, type RecipeData } from './open-data.ts';
import { openRecipeModel } from './open-model.ts';
import { countingLeftOut, type RecipeBatches, recipeBatches } from './recipe-batches.ts';
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
  /** The step whose parameters they have: that of the lowest held-out loss, where there is one, else the last. */
  readonly exported: number;
  /** Images and records that are broken and were left out; where images are encoded each time, each time they came. */
  readonly leftOut: number;
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
  const { data, validation } = await openData(asked, options);
  const model = await openModel(asked, options, resources);
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
  const batches = resources.use(
    await recipeBatches(data, images, task, recipe, { dropout: recipe.dropout > 0, seed: recipe.seed }),
  );
  const step = await makeStep(task, recipe, model, await firstOf(batches), abortSignal);
  resources.defer(() => step.dispose());
  const evaluator =
    validation && recipe.evaluateEvery > 0 ? await makeEvaluator(validation, images, task, recipe, step, resources) : undefined;
  const result = await train<never>({
    step: countingLeftOut(step, batches) as TrainableStep<never>,
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
  const exported = result.best?.step ?? result.step;
  const state = exported === result.step ? () => step.state() : () => stateOf(folder, exported);
  const models = await writeModel(model, task, state, recipe, options, result.last === undefined);
  return { ...result, models, exported, leftOut: batches.leftOut() };
}

/** Reads tables; what their lines lack is said. */
async function openData(
  { data, validation, maxBrokenShare }: CompleteRecipe,
  { abortSignal, onRemark }: RunRecipeOptions,
): Promise<{ readonly data: RecipeData; readonly validation: RecipeData | undefined }> {
  const onBroken = ({ message }: Error): void => onRemark?.(`a line is left out: ${message}`);
  const options = { abortSignal, maxBrokenShare, onBroken };
  const opened = await openRecipeData(data, options);
  return { data: opened, validation: validation && (await openRecipeData(validation, options)) };
}

async function openModel(recipe: CompleteRecipe, options: RunRecipeOptions, resources: Resources): Promise<RecipeModel> {
  const { offline, revision, abortSignal, onWork, onRemark } = options;
  const model = await openRecipeModel(recipe, { offline, revision, abortSignal, onProgress: onWork });
  resources.defer(() => model.checkpoints.forEach((checkpoint) => checkpoint.dispose()));
  for (const remark of model.remarks) onRemark?.(remark);
  if (recipe.lavis) await assertOriginalLayout(model);
  return model;
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
  const { maxBrokenShare, featureStore = join(folder, 'features') } = recipe;
  const common = { engine, maxBrokenShare, abortSignal, onRemark, onProgress: onWork };
  if (recipe.features === 'cached') return (await cachedFeatures(model, data, featureStore, common)) as ImageInput<unknown>;
  const augmentation = recipe.augmentation as AugmentationOptions | false;
  return (await onlineImages(model, { ...common, trains: recipe.train.vision, augmentation })) as ImageInput<unknown>;
}

async function compiledEngine(): Promise<Engine> {
  const { onnxEngine } = await import('@blip2/compiler/node');
  return onnxEngine({});
}

/** The first batch, which says how large batches are; the source stands where it stood. */
async function firstOf(batches: RecipeBatches): Promise<HostBatch> {
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
  const batches = resources.use(await recipeBatches(validation, images, task, recipe, { dropout: false, seed: recipe.seed }));
  return resources.use(createEvaluator(task, recipe, step as TrainableStep<never>, batches, count));
}

/** Writes what was trained. A run that was complete before has its model already. */
async function writeModel(
  model: RecipeModel,
  task: Task,
  state: () => Promise<StepState>,
  recipe: CompleteRecipe,
  { folder, abortSignal, onWork }: RunRecipeOptions,
  wasComplete: boolean,
): Promise<string[]> {
  const place = join(folder, 'model');
  const folders = recipe.lavis ? [place, `${place}-lavis`] : [place];
  if (wasComplete && (await Promise.all(folders.map(isThere))).every(Boolean)) return folders;
  const { params } = await state();
  const values = params as ByPath<HostTensor>;
  return exportModel(model, place, { ...task.parameters, values, recipe, abortSignal, onProgress: onWork });
}

/** The parameters after an earlier step, whose checkpoint was kept. */
async function stateOf(folder: string, step: number): Promise<StepState> {
  const { checkpoint } = await checkpointAt(join(folder, stepFolder(step)));
  return checkpoint.state;
}

async function isThere(folder: string): Promise<boolean> {
  return access(join(folder, 'config.json')).then(
    () => true,
    () => false,
  );
}
