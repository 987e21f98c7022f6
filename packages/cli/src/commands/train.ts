import { extname, join } from 'node:path';
import type { Progress } from '@blip2/core';
import type { RecipeConfig, RecipeResult, TrainingLogger, TrainingProgress } from '@blip2/training/node';
import { UsageError } from '../command-line.ts';
import { type Command, defineCommand } from '../command.ts';
import { defined } from '../defined.ts';
import { chooseEnginesFor, isEager } from '../engine-options.ts';
import type { Output } from '../output.ts';
import { type CommonValues, DEFAULT_MODEL_REMARK, modelNameOf, type Session, useBackend } from '../session.ts';
import { RECIPE_OPTIONS, recipeFieldsOf } from './train-options.ts';

export const trainCommand: Command = defineCommand({
  name: 'train',
  usage: 'train stage1|stage2|caption|vqa|retrieval|FILE.yaml --model FOLDER|HUB-ID --data PATH --out FOLDER [options]',
  description:
    'Trains a model: a stage of pre-training, or fine-tuning for captions, questions or retrieval, as named or as a recipe file says. The same command goes on with an interrupted run. The trained model is in OUT/model: with --validation that of the lowest held-out loss. train --export CHECKPOINT --out FOLDER writes that of another step.',
  options: {
    ...RECIPE_OPTIONS,
    out: { type: 'text', hint: 'FOLDER', description: 'folder of the run: checkpoints, log, report, the trained model' },
    export: {
      type: 'text',
      hint: 'CHECKPOINT',
      description: 'trains nothing: writes the model of a checkpoint, RUN/step-00000500, or of a run to the folder --out',
    },
    dtype: {
      type: 'choice',
      choices: ['keep', 'fp32', 'fp16'],
      description: 'format of the trained model; keep: frozen weights as they were; default: keep',
    },
  },
  // It runs on the processor, however long that takes.
  common: ['model', 'engine', 'backend', 'revision', 'offline', 'json', 'help'],
  async run(positionals, values, { output, abortSignal }) {
    if (values.export !== undefined) return exportOnly(values.export, positionals, values, { output, abortSignal });
    const [recipe, ...others] = positionals;
    if (recipe === undefined || others.length > 0) {
      const got = recipe === undefined ? 'none was named' : `'${positionals.join(' ')}' were named`;
      throw new UsageError(
        `train takes one recipe, and ${got}. Name stage1, stage2, caption, vqa, retrieval, or a file such as recipe.yaml.`,
      );
    }
    const isFile = /^\.(ya?ml|json)$/i.test(extname(recipe));
    const { out, model, dtype, engine } = values;
    if (out === undefined || out === '') throw new UsageError('No folder for the run was named: pass --out FOLDER.');
    if (!isFile && values.data.length === 0) {
      throw new UsageError('No data was named: pass --data with a folder of images that has a captions.jsonl or metadata.jsonl.');
    }
    // Loaded here: the other verbs start without training, and without the gradients of tfjs, which this import registers.
    const [training] = await Promise.all([import('@blip2/training/node'), import('@tensorflow/tfjs')]);
    const { checkRecipe, completeRecipe, mergeRecipes, progressText, readRecipe, RECIPE_NAMES, runRecipe } = training;
    if (!isFile && !(RECIPE_NAMES as readonly string[]).includes(recipe)) {
      throw new UsageError(
        `'${recipe}' is no recipe. Known are ${RECIPE_NAMES.join(', ')}; or name a file that ends with .yaml or .json.`,
      );
    }
    const fromFile = isFile ? await readRecipe(recipe) : ({ recipe } as Partial<RecipeConfig>);
    const written = { ...recipeFieldsOf(values), ...defined({ model, engine, outputDtype: dtype }) };
    const asked = withModel(mergeRecipes(fromFile, checkRecipe(written, 'the command line')), output);
    completeRecipe(asked, isFile ? recipe : 'the command line'); // before anything is loaded
    const config = await withWorkingEngine(asked, output);
    await useBackend(values.backend);
    const result = await runRecipe(config, {
      folder: out,
      abortSignal,
      offline: values.offline,
      revision: values.revision,
      loggers: [recordListener(output, values.json)],
      onProgress: progressWriter(output, progressText),
      onWork: workListener(output),
      onRemark: (remark) => output.note(remark),
    });
    if (!values.json) output.result({}, summaryOf(result, out));
    return 0;
  },
});

/** As other verbs do, training begins with the model that comes along where none is named; those that come along have names. */
function withModel(recipe: Partial<RecipeConfig>, output: Output): Partial<RecipeConfig> {
  const { model, vision } = recipe;
  if (model === undefined && vision !== undefined) return recipe;
  if (model === undefined) output.note(DEFAULT_MODEL_REMARK);
  return { ...recipe, model: modelNameOf({ model }) };
}

function summaryOf({ models, step, last, evaluation, best, exported, leftOut }: RecipeResult, out: string): string {
  const losses = Object.entries({ loss: last?.loss, 'held-out loss': evaluation?.['loss'] }).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name} ${value.toFixed(4)}`],
  );
  return [
    `${step} steps${losses.length > 0 ? `, ${losses.join(', ')}` : ' were done before'}`,
    ...(leftOut === 0 ? [] : [`${leftOut} broken ${leftOut === 1 ? 'image or record was' : 'images or records were'} left out`]),
    ...(exported === step
      ? []
      : [
          `The model is that of step ${exported}, whose held-out loss was the lowest: ${best?.value.toFixed(4)}. ` +
            `The last: blip2 train --export ${join(out, `step-${String(step).padStart(8, '0')}`)} --out FOLDER`,
        ]),
    ...models,
  ].join('\n');
}

/** What {@link exportOnly} reads of the command line. */
interface ExportValues extends Pick<CommonValues, 'offline' | 'revision'> {
  readonly out?: string;
  readonly dtype?: string;
  readonly lavis: boolean;
}

async function exportOnly(
  checkpoint: string,
  positionals: readonly string[],
  { out, dtype, lavis, offline, revision }: ExportValues,
  { output, abortSignal }: Session,
): Promise<0> {
  if (positionals.length > 0) throw new UsageError(`--export trains nothing, and '${positionals[0]}' was named. Leave one out.`);
  if (out === undefined || out === '') throw new UsageError('No folder for the model was named: pass --out FOLDER.');
  const { exportCheckpoint } = await import('@blip2/training/node');
  const outputDtype = dtype as RecipeConfig['outputDtype'];
  const onProgress = workListener(output);
  const settings = { out, outputDtype, lavis, offline, revision, abortSignal, onProgress };
  const { models, step } = await exportCheckpoint(checkpoint, settings);
  output.result({ step, models }, [`the model of step ${step}`, ...models].join('\n'));
  return 0;
}

/** Without ONNX Runtime, and where nobody asked for it, training is eager, and a remark says so. */
async function withWorkingEngine(recipe: Partial<RecipeConfig>, output: Output): Promise<Partial<RecipeConfig>> {
  if (recipe.engine === 'eager') return recipe;
  const engines = await chooseEnginesFor({ engine: recipe.engine, dtype: 'fp32', provider: undefined }, output);
  return isEager(engines) ? { ...recipe, engine: 'eager' } : recipe;
}

/** With `--json`, a line for each record. */
function recordListener(output: Output, json: boolean): TrainingLogger {
  return {
    log({ kind, step, values }) {
      const numbers = Object.entries(values).map(([name, value]) => [name, Number.isFinite(value) ? value : String(value)]);
      if (json) output.result({ kind, step, ...Object.fromEntries(numbers) }, '');
    },
  };
}

/** Where nobody sees a line move, one is written so often. */
const SECONDS_BETWEEN_LINES = 10;

/** On a terminal a line that moves, elsewhere a line now and then; the last step always has one. */
function progressWriter(output: Output, text: (progress: TrainingProgress) => string): (progress: TrainingProgress) => void {
  let written = Number.NEGATIVE_INFINITY;
  return (progress) => {
    const { step, totalSteps } = progress;
    if (output.isTerminal) {
      output.progress(text(progress), step / totalSteps);
    } else if (step === totalSteps || performance.now() - written >= 1000 * SECONDS_BETWEEN_LINES) {
      written = performance.now();
      output.note(text(progress));
    }
  };
}

/** Encoding a large data set takes hours, in which something should be heard. */
function workListener(output: Output): (progress: Progress) => void {
  let written = performance.now();
  return ({ phase, part, loadedBytes, totalBytes }) => {
    const share = totalBytes === 0 ? 1 : loadedBytes / totalBytes;
    const verb = phase === 'download' ? 'downloading' : 'writing';
    const label = part === 'features' ? 'encoding images' : `${verb} ${part}`;
    output.progress(label, share);
    if (loadedBytes >= totalBytes) output.endProgress();
    if (output.isTerminal || performance.now() - written < 1000 * SECONDS_BETWEEN_LINES) return;
    written = performance.now();
    output.note(`${label}: ${(100 * share).toFixed(1)} %`);
  };
}
