import { InputError, type RunOptions } from '@blip2/core';
import type { Schedule } from '../schedules/schedules.ts';
import type { BatchSource } from './batch-source.ts';
import type { BestEvaluation, CheckpointStore } from './checkpoint-store.ts';
import type { StepReport, TrainableStep } from './trainable-step.ts';
import type { TrainingLogger, TrainingProgress } from './training-log.ts';

/** Options of `train`. */
export interface TrainOptions<Batch> extends Pick<RunOptions, 'abortSignal'> {
  /** What is trained. It stays the caller's, to use and to dispose. */
  readonly step: TrainableStep<Batch>;
  readonly batches: BatchSource<Batch>;
  /** Learning rate by steps taken. */
  readonly schedule: Schedule;
  readonly totalSteps: number;
  /** Where checkpoints are kept; a run goes on from the newest one. @default nowhere: an interrupted run is lost */
  readonly checkpoints?: CheckpointStore;
  /** Steps between two checkpoints; one more is saved at the end, and when the run is aborted. @default 1000 */
  readonly saveEvery?: number;
  /** Steps between two records of the log; the first and the last step and those that are skipped have one too. @default 10 */
  readonly logEvery?: number;
  /** Steps between two evaluations; the last step has one too. @default 0: none */
  readonly evaluateEvery?: number;
  /** Measures the present parameters, for instance the loss of held-out records. */
  readonly evaluate?: (
    options: { readonly step: number } & Pick<RunOptions, 'abortSignal'>,
  ) => Promise<Readonly<Record<string, number>>>;
  /** Which number of the evaluation says what the best checkpoint is. It is saved at once and kept. @default none */
  readonly best?: { readonly metric: string; readonly better: 'lower' | 'higher' };
  readonly loggers?: readonly TrainingLogger[];
  readonly onProgress?: (progress: TrainingProgress) => void;
  /** Rows of a batch, for the rate in samples. */
  readonly samplesPerStep?: number;
  /** What happens when a loss or a gradient is not finite. */
  readonly nonFinite?: {
    /** The step is skipped and counted; when more than this many come in a row, the run fails. @default 10 */
    readonly maxConsecutive?: number;
  };
}

/** What a run of `train` gives. */
export interface TrainingResult {
  /** Steps taken, those before a checkpoint included. */
  readonly step: number;
  /** The last step's report. Absent when the checkpoint was complete already. */
  readonly last?: StepReport;
  /** What the last evaluation of this run returned. */
  readonly evaluation?: Readonly<Record<string, number>>;
  readonly best?: BestEvaluation;
  readonly skippedSteps: number;
}

/** @throws {InputError} for options that no run can have. */
export function assertTrainOptions<Batch>(options: TrainOptions<Batch>): void {
  const { totalSteps, saveEvery = 1000, logEvery = 10, evaluateEvery = 0, evaluate, best, nonFinite } = options;
  const counts = { totalSteps, saveEvery, logEvery, evaluateEvery, 'nonFinite.maxConsecutive': nonFinite?.maxConsecutive ?? 10 };
  for (const [name, count] of Object.entries(counts)) {
    const least = name === 'saveEvery' || name === 'logEvery' ? 1 : 0;
    if (Number.isSafeInteger(count) && count >= least) continue;
    throw new InputError(`train: ${name} is ${count}, expected a whole number of ${least} or more. Round it.`);
  }
  if (evaluateEvery > 0 && evaluate === undefined) {
    throw new InputError(
      `train: evaluateEvery is ${evaluateEvery}, but there is no evaluate. Pass a function, or leave evaluateEvery out.`,
    );
  }
  if (best !== undefined && evaluateEvery === 0) {
    throw new InputError(
      `train: best names '${best.metric}', but nothing is evaluated. Set evaluateEvery and evaluate, or leave best out.`,
    );
  }
}
