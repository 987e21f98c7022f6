import { nextTurn } from '@blip2/core';
import { BatchQueue, type JsonValue } from './batch-source.ts';
import type { TrainingCounts } from './checkpoint-store.ts';
import { assertGoesOn, isNotFinite } from './non-finite.ts';
import { Pace } from './pace.ts';
import { assertTrainOptions, type TrainingResult, type TrainOptions } from './train-options.ts';
import type { StepReport } from './trainable-step.ts';
import type { TrainingLogger, TrainingOutcome, TrainingRecord } from './training-log.ts';

/**
 * Trains: takes steps, one batch each, until `totalSteps`; goes on from the newest checkpoint where there is one. The next batch is
 * fetched while a step runs. A resumed run takes the very steps that an uninterrupted one would have taken, if the batches depend
 * on their position alone.
 *
 * An abort lets the running step end, saves a checkpoint, and rejects with the signal's reason. An error of the batches, of an evaluation
 * or of a logger also saves what there is; one of the step does not, because its parameters may be half changed.
 *
 * @throws {TrainingError} when too many steps in a row are not finite, naming the losses.
 * @throws {InputError} for options that no run can have.
 *
 * @example
 * const { last } = await train({ step, batches, schedule: warmupCosine({ peak: 1e-4, totalSteps: 1000 }), totalSteps: 1000 });
 * console.log(last?.loss);
 */
export async function train<Batch>(options: TrainOptions<Batch>): Promise<TrainingResult> {
  assertTrainOptions(options);
  options.abortSignal?.throwIfAborted();
  const loop = new TrainingLoop(options);
  try {
    await loop.resume();
    await loop.run();
  } catch (cause) {
    // The error that ended the run is the one to report, whatever the loggers say to it.
    const aborted = isAbort(cause, options.abortSignal);
    await loop.close(aborted ? 'aborted' : 'failed').catch(() => undefined);
    throw aborted ? options.abortSignal?.reason : cause;
  }
  await loop.close('complete');
  return loop.result;
}

/** True also for an evaluation that makes an error of its own of the abort. */
function isAbort(cause: unknown, abortSignal: AbortSignal | undefined): boolean {
  if (abortSignal?.aborted !== true) return false;
  return cause === abortSignal.reason || (cause instanceof Error && cause.name === 'AbortError');
}

/** One run of {@link train}. */
class TrainingLoop<Batch> {
  readonly #options: TrainOptions<Batch>;
  readonly #loggers: readonly TrainingLogger[];
  readonly #queue: BatchQueue<Batch>;
  readonly #pace: Pace = new Pace();
  #step = 0;
  #savedStep = 0;
  /** False while a step or a save is under way: what there is then is neither this state nor the next. */
  #isWhole = true;
  #position: JsonValue = null;
  #counts: TrainingCounts = { skippedSteps: 0, skippedInARow: 0 };
  #last: StepReport | undefined;
  #evaluation: Readonly<Record<string, number>> | undefined;

  constructor(options: TrainOptions<Batch>) {
    this.#options = options;
    this.#loggers = options.loggers ?? [];
    this.#queue = new BatchQueue(options.batches);
  }

  get result(): TrainingResult {
    const { skippedSteps, best } = this.#counts;
    return { step: this.#step, last: this.#last, evaluation: this.#evaluation, best, skippedSteps };
  }

  async resume(): Promise<void> {
    const { step, batches, checkpoints } = this.#options;
    const found = await checkpoints?.load();
    if (found !== undefined) {
      await step.restore(found.state);
      await batches.seek(found.position);
      ({ position: this.#position, counts: this.#counts } = found);
      this.#step = this.#savedStep = found.step;
    }
    for (const logger of this.#loggers) await logger.begin?.(this.#step);
  }

  async run(): Promise<void> {
    const { totalSteps, abortSignal } = this.#options;
    try {
      if (this.#counts.evaluationDue) await this.#evaluate();
      while (this.#step < totalSteps) {
        abortSignal?.throwIfAborted();
        await this.#takeStep();
        const isBest = this.#counts.evaluationDue && (await this.#evaluate());
        if (this.#isDue(this.#options.saveEvery ?? 1000) || isBest) await this.#save();
        await nextTurn(); // eager steps wait for nothing: without this neither keys nor timers would be heard
      }
    } catch (cause) {
      if (isAbort(cause, abortSignal)) await this.#save();
      // A picture that cannot be read after hours shall not cost them. If this fails too, the first error is the one to know.
      else if (this.#isWhole) await this.#save().catch(() => undefined);
      throw cause;
    }
  }

  async close(outcome: TrainingOutcome): Promise<void> {
    await this.#queue.close();
    const results = await Promise.allSettled(this.#loggers.map(async (logger) => logger.close?.(outcome)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** Takes a step and reports it; the loop is between two steps again when the promise settles, also after an abort. */
  async #takeStep(): Promise<void> {
    const { step, batches, schedule, totalSteps, abortSignal } = this.#options;
    const { batch, position } = await this.#queue.take(abortSignal);
    const learningRate = schedule(this.#step);
    let report: StepReport;
    this.#isWhole = false;
    try {
      if (this.#step + 1 < totalSteps) this.#queue.prefetch();
      report = await step.run(batch, { learningRate }); // not abortable: half a step would be neither this state nor the next
    } finally {
      batches.release?.(batch);
    }
    this.#count(report);
    this.#step++;
    this.#position = position;
    this.#isWhole = true;
    this.#last = report;
    this.#pace.step(performance.now());
    if (this.#isDue(this.#options.evaluateEvery ?? 0)) this.#counts = { ...this.#counts, evaluationDue: true };
    await this.#report(report, learningRate);
  }

  /** @throws {TrainingError} before anything of the step is taken over, so that it is not saved. */
  #count(report: StepReport): void {
    const { skippedSteps, skippedInARow } = this.#counts;
    const bad = isNotFinite(report);
    const { maxConsecutive = 10 } = this.#options.nonFinite ?? {};
    if (bad) assertGoesOn(this.#step + 1, report, skippedInARow + 1, maxConsecutive, this.#savedStep);
    this.#counts = {
      ...this.#counts,
      skippedSteps: skippedSteps + (bad ? 1 : 0),
      skippedInARow: bad ? skippedInARow + 1 : 0,
    };
  }

  async #report(report: StepReport, learningRate: number): Promise<void> {
    const { loss, gradientNorm, metrics } = report;
    if (this.#step === 1 || this.#isDue(this.#options.logEvery ?? 10) || isNotFinite(report))
      await this.#log('training', { loss, ...metrics, gradientNorm, learningRate });
    const { totalSteps, samplesPerStep, onProgress } = this.#options;
    const { stepsPerSecond } = this.#pace;
    const progress = {
      step: this.#step,
      totalSteps,
      learningRate,
      loss,
      metrics,
      stepsPerSecond,
      samplesPerSecond: stepsPerSecond && samplesPerStep && stepsPerSecond * samplesPerStep,
      remainingSeconds: stepsPerSecond && (totalSteps - this.#step) / stepsPerSecond,
      skippedSteps: this.#counts.skippedSteps,
    };
    for (const logger of this.#loggers) await logger.progress?.(progress);
    onProgress?.(progress);
  }

  /** @returns true when the result is better than all before. */
  async #evaluate(): Promise<boolean> {
    const { evaluate, best, abortSignal } = this.#options;
    const values = await evaluate?.({ step: this.#step, abortSignal });
    const { evaluationDue: _, ...counts } = this.#counts;
    this.#counts = counts;
    if (values === undefined) return false; // it was due in a run that had an evaluation
    this.#evaluation = values;
    await this.#log('evaluation', values);
    const value = best && values[best.metric];
    if (best === undefined || value === undefined || !Number.isFinite(value)) return false;
    const before = counts.best?.value;
    if (before !== undefined && (best.better === 'lower' ? value >= before : value <= before)) return false;
    this.#counts = { ...counts, best: { metric: best.metric, value, step: this.#step } };
    return true;
  }

  async #log(kind: TrainingRecord['kind'], values: Readonly<Record<string, number>>): Promise<void> {
    const record: TrainingRecord = { kind, step: this.#step, timeMs: Date.now(), values };
    for (const logger of this.#loggers) await logger.log?.(record);
  }

  async #save(): Promise<void> {
    const { checkpoints, step } = this.#options;
    if (checkpoints === undefined || this.#savedStep === this.#step) return;
    this.#isWhole = false;
    for (const logger of this.#loggers) await logger.flush?.();
    await checkpoints.save({ step: this.#step, state: await step.state(), position: this.#position, counts: this.#counts });
    this.#savedStep = this.#step;
    this.#isWhole = true;
  }

  /** Every so many steps, and after the last one; never for 0. */
  #isDue(every: number): boolean {
    return every > 0 && (this.#step % every === 0 || this.#step === this.#options.totalSteps);
  }
}
