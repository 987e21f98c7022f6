import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type BlobLock, lockIfFree } from '@blip2/checkpoints/node';
import { ResourceError } from '@blip2/core';
import { jsonLinesLogger } from '../logs/json-lines.ts';
import { progressLine } from '../logs/progress-line.ts';
import { reportLogger } from '../logs/report-logger.ts';
import type { TrainingReportOptions } from '../logs/report/training-report.ts';
import { tensorBoardLogger } from '../logs/tensorboard.ts';
import type { JsonValue } from '../trainer/batch-source.ts';
import type { TrainOptions } from '../trainer/train-options.ts';
import type { TrainingLogger } from '../trainer/training-log.ts';
import { checkpointFolder, type CheckpointFolderOptions } from './checkpoint-folder.ts';

/** Options of {@link trainingFolder}. */
export interface TrainingFolderOptions extends CheckpointFolderOptions, Omit<TrainingReportOptions, 'outcome'> {
  /** Whether a line on the standard error says where the run stands. @default true */
  readonly showProgress?: boolean;
  /** More that takes records. @default none */
  readonly loggers?: readonly TrainingLogger[];
}

/**
 * Everything of a run in one folder: checkpoints (`step-00001234/`), the log (`log.jsonl`), events for TensorBoard (`tensorboard/`) and, at
 * the end, `report.html`. A lock keeps a second run out until the first has ended, also by being killed.
 *
 * @returns what `train` needs of it. It belongs to one call of `train`.
 *
 * @example
 * const identity = { recipe: 'stage1', seed: 1 };
 * await train({ step, batches, schedule, totalSteps: 1000, ...trainingFolder('runs/one', { identity }) });
 */
export function trainingFolder(
  folder: string,
  options: TrainingFolderOptions = {},
): Required<Pick<TrainOptions<never>, 'checkpoints' | 'loggers'>> & Pick<TrainOptions<never>, 'samplesPerStep'> {
  const { showProgress = true, loggers = [], identity = null, title, facts = factsOf(identity), samplesPerStep } = options;
  const checkpoints = checkpointFolder(folder, options);
  const log = join(folder, 'log.jsonl');
  let lock: BlobLock | undefined;
  return {
    ...(samplesPerStep === undefined ? {} : { samplesPerStep }), // an absent one must not hide that of the call
    checkpoints: {
      ...checkpoints,
      async load() {
        lock = await lockFolder(folder);
        return checkpoints.load();
      },
    },
    loggers: [
      jsonLinesLogger(log),
      tensorBoardLogger(join(folder, 'tensorboard')),
      ...(showProgress ? [progressLine()] : []),
      ...loggers,
      reportLogger(join(folder, 'report.html'), { log, title, facts, samplesPerStep }),
      { close: () => lock?.release() },
    ],
  };
}

async function lockFolder(folder: string): Promise<BlobLock> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, '.lock');
  const lock = await lockIfFree(path);
  if (lock !== undefined) return lock;
  throw new ResourceError(
    `${folder}: another run writes to this folder. Wait for it to end, or choose another folder; if it was on a machine that is gone, remove ${path}.`,
  );
}

/** The leaves of a JSON value by path. */
function factsOf(value: JsonValue, path = ''): Record<string, string> {
  if (typeof value !== 'object' || value === null) return path === '' ? {} : { [path]: String(value) };
  if (Array.isArray(value))
    return { [path]: value.map((one) => (typeof one === 'object' ? JSON.stringify(one) : String(one))).join(', ') };
  const children = Object.entries(value).map(([key, child]) => factsOf(child, path === '' ? key : `${path}.${key}`));
  return Object.assign({}, ...children) as Record<string, string>;
}
