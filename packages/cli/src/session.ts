import * as tf from '@tensorflow/tfjs-core';
import { type Blip2, DEFAULT_MODEL, estimateBlip2, loadBlip2, modelSource, type PartEngines } from 'blip2/node';
import { openCheckpoint } from '@blip2/checkpoints/node';
import { type Checkpoint, ResourceError, UnsupportedBackendError } from '@blip2/core';
import { chooseEnginesFor, ENGINE_OPTIONS, type EngineOptionTable, isEager } from './engine-options.ts';
import { type Output, progressListener } from './output.ts';
import { type ChoiceOption, type Defaulted, type FlagOption, type TextOption, UsageError, type Values } from './command-line.ts';

/** Said where nobody named a model. */
export const DEFAULT_MODEL_REMARK: string =
  'No --model: this is the small model that comes along, which knows coloured shapes and nothing else. ' +
  'For photographs pass --model Salesforce/blip2-opt-2.7b.';

/** Options that verbs have in common. */
export type CommonOptionTable = {
  readonly model: TextOption;
  readonly revision: TextOption;
  readonly backend: Defaulted<ChoiceOption>;
} & EngineOptionTable & { readonly [Name in 'offline' | 'allowSlow' | 'json' | 'help']: FlagOption };

export const COMMON_OPTIONS: CommonOptionTable = {
  model: {
    type: 'text',
    hint: 'FOLDER|HUB-ID',
    description:
      'model folder, Hub id such as Salesforce/blip2-opt-2.7b, or @blip2/tiny/t5; default: @blip2/tiny, which knows coloured shapes',
  },
  ...ENGINE_OPTIONS,
  backend: {
    type: 'choice',
    choices: ['wasm', 'cpu', 'webgpu'],
    description: 'tfjs backend: of the eager engine, and of preprocessing',
    default: 'wasm',
  },
  revision: {
    type: 'text',
    hint: 'REVISION',
    description: 'branch, tag or commit of a Hub repository; default: the pinned one, else main',
  },
  offline: { type: 'flag', description: 'use the local cache only' },
  allowSlow: { type: 'flag', description: 'start the eager engine also when the estimate says that it will take very long' },
  json: { type: 'flag', description: 'one JSON object a line on standard output' },
  help: { type: 'flag', description: 'show this help' },
};

export type CommonValues = Values<CommonOptionTable>;

/** What a verb's implementation gets. */
export interface Session {
  readonly output: Output;
  readonly abortSignal: AbortSignal;
}

/** Estimates above this refuse to start without `--allow-slow`. */
const SLOW_SECONDS = 10 * 60;
/** Estimates above this are worth a line before the work starts. */
const NOTICE_SECONDS = 20;

/** What a verb wants of a model. */
export interface ModelUse {
  /** Whether the language model will write. */
  readonly writesText: boolean;
  /** Engines that were chosen before. @default those that the command line asks for */
  readonly engine?: PartEngines;
}

/** Chooses engine and backend, says what the work will cost where that is much, and loads the model. */
export async function loadModel(values: CommonValues, session: Session, use: ModelUse): Promise<Blip2> {
  const name = modelNameOf(values);
  const { output, abortSignal } = session;
  if (!values.model) output.note(DEFAULT_MODEL_REMARK);
  const engine = use.engine ?? (await chooseEnginesFor(values, output));
  await useBackend(values.backend);
  const onProgress = progressListener(output);
  const { revision, offline } = values;
  const checkpoint = await openCheckpoint(name, { revision, offline, abortSignal, onProgress });
  try {
    if (isEager(engine)) await warnOfSlowness(checkpoint, values, output, use);
  } catch (cause) {
    checkpoint.dispose();
    throw cause;
  }
  const model = await loadBlip2(checkpoint, { engine, abortSignal, onProgress });
  output.endProgress();
  return model;
}

/** @throws {ResourceError} when an image would take very long, unless that is allowed. */
async function warnOfSlowness(
  checkpoint: Checkpoint,
  { backend, allowSlow }: CommonValues,
  output: Output,
  { writesText }: ModelUse,
): Promise<void> {
  const estimate = await estimateBlip2(checkpoint, { backend, writesText });
  if (estimate.secondsPerImage > SLOW_SECONDS && !allowSlow) {
    throw new ResourceError(
      `${estimate.summary} That is unlikely to be worth it. Take the compiled engine or a smaller model, or pass --allow-slow to start anyway.`,
    );
  }
  if (estimate.secondsPerImage > NOTICE_SECONDS) output.note(estimate.summary);
}

/** Where the model is that was named, or the one that comes along. */
export function modelNameOf({ model = '' }: Pick<CommonValues, 'model'>): string {
  return modelSource(model === '' ? DEFAULT_MODEL : model);
}

/** Starts a tfjs backend. */
export async function useBackend(backend: string): Promise<void> {
  tf.enableProdMode(); // no advertisement of other backends on standard error
  if (backend === 'wasm') await import('@tensorflow/tfjs-backend-wasm');
  if (backend === 'cpu') await import('@tensorflow/tfjs-backend-cpu');
  if (backend === 'webgpu') {
    throw new UsageError(`--backend webgpu needs a browser: Node has no WebGPU device for tfjs. Take --backend wasm.`);
  }
  if (!(await tf.setBackend(backend))) {
    throw new UnsupportedBackendError(`The tfjs backend '${backend}' could not be started on this machine. Take --backend cpu.`);
  }
  await tf.ready();
}
