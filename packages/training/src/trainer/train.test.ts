import { expectNoLeak } from '@blip2/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { constantSchedule, warmupCosine } from '../schedules/schedules.ts';
import type { CheckpointStore, TrainingCheckpoint } from './checkpoint-store.ts';
import { type SmallBatch, SmallBatches, smallStep } from './small-run-test-support.ts';
import { train } from './train.ts';
import type { TrainOptions } from './train-options.ts';
import type { StepReport, TrainableStep } from './trainable-step.ts';
import type { TrainingLogger, TrainingProgress, TrainingRecord } from './training-log.ts';

/** Why runs are aborted here. */
const STOP = new Error('stop');

/** Keeps checkpoints in memory, as JSON keeps them. */
class MemoryStore implements CheckpointStore {
  readonly saved: TrainingCheckpoint[] = [];

  async load(): Promise<TrainingCheckpoint | undefined> {
    return this.saved.at(-1);
  }

  async save(checkpoint: TrainingCheckpoint): Promise<void> {
    this.saved.push(structuredClone(checkpoint));
  }

  get steps(): number[] {
    return this.saved.map(({ step }) => step);
  }
}

/** Remembers what it was told. */
class MemoryLogger implements TrainingLogger {
  readonly records: TrainingRecord[] = [];
  readonly events: string[] = [];

  begin(step: number): void {
    this.events.push(`begin ${step}`);
  }

  log(record: TrainingRecord): void {
    this.records.push(record);
  }

  flush(): void {
    this.events.push('flush');
  }

  close(outcome: string): void {
    this.events.push(outcome);
  }

  /** Values by kind and step. */
  get values(): Record<string, unknown> {
    return Object.fromEntries(this.records.map(({ kind, step, values }) => [`${kind} ${step}`, values]));
  }
}

const schedule = warmupCosine({ peak: 0.05, warmupSteps: 5, totalSteps: 40 });

async function run(
  options: Partial<TrainOptions<never>> = {},
): Promise<{ result: Awaited<ReturnType<typeof train>>; state: unknown }> {
  using step = await smallStep();
  const result = await train({ step, batches: new SmallBatches() as never, schedule, totalSteps: 40, ...options });
  return { result, state: await step.state() };
}

/** A step that reports what it is told to. */
function scriptedStep(reports: readonly Partial<StepReport>[]): TrainableStep<SmallBatch> & { readonly rates: number[] } {
  const rates: number[] = [];
  return {
    rates,
    async run(_, { learningRate }) {
      rates.push(learningRate);
      return { loss: 1, gradientNorm: 1, metrics: {}, ...reports[(rates.length - 1) % reports.length] };
    },
    state: async () => ({ params: {}, first: {}, second: {}, steps: rates.length }),
    restore: () => undefined,
    dispose: () => undefined,
  };
}

it('learns, and leaves no tensors behind', async () => {
  await smallStep().then((step) => step.dispose()); // what the first use registers stays
  await expectNoLeak(async () => {
    const logger = new MemoryLogger();
    const { result } = await run({ loggers: [logger], logEvery: 1 });
    expect(result).toMatchObject({ step: 40, skippedSteps: 0, last: { skipped: false } });
    expect(result.last!.loss).toBeLessThan(0.3 * logger.records[0]!.values['loss']!);
  });
});

describe('the loop', () => {
  it('gives each step its rate and its batch, and releases all of them', async () => {
    const step = scriptedStep([{}]);
    const batches = new SmallBatches();
    await train({ step, batches, schedule: (index) => index / 10, totalSteps: 5 });
    expect(step.rates).toEqual([0, 0.1, 0.2, 0.3, 0.4]);
    expect(batches.released).toEqual([0, 1, 2, 3, 4]);
    expect(batches.position()).toEqual({ next: 5 }); // none is fetched that nobody needs
  });

  it('fetches the next batch while a step runs', async () => {
    const batches = new SmallBatches();
    const seen: unknown[] = [];
    const step = scriptedStep([{}]);
    step.run = async () => {
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
      seen.push(batches.position());
      return { loss: 1, gradientNorm: 1, metrics: {} };
    };
    await train({ step, batches, schedule, totalSteps: 3 });
    expect(seen).toEqual([{ next: 2 }, { next: 3 }, { next: 3 }]);
  });

  it('logs the first step, every so many and the last, and evaluates', async () => {
    const logger = new MemoryLogger();
    const { result } = await run({
      loggers: [logger],
      totalSteps: 11,
      logEvery: 4,
      evaluateEvery: 5,
      evaluate: async ({ step }) => ({ error: 1 / step }),
    });
    expect(Object.keys(logger.values)).toEqual([
      'training 1',
      'training 4',
      'evaluation 5',
      'training 8',
      'evaluation 10',
      'training 11',
      'evaluation 11',
    ]);
    expect(Object.keys(logger.records[0]!.values)).toEqual(['loss', 'largest', 'gradientNorm', 'learningRate']);
    expect(result.evaluation).toEqual({ error: 1 / 11 });
    expect(logger.events).toEqual(['begin 0', 'complete']);
  });

  it('tells where it stands', async () => {
    const seen: TrainingProgress[] = [];
    await run({ totalSteps: 3, samplesPerStep: 8, onProgress: (progress) => seen.push(progress) });
    expect(seen.map(({ step, totalSteps, skippedSteps }) => [step, totalSteps, skippedSteps])).toEqual([
      [1, 3, 0],
      [2, 3, 0],
      [3, 3, 0],
    ]);
    expect(seen[0]).toMatchObject({ stepsPerSecond: undefined, remainingSeconds: undefined });
    const { stepsPerSecond, samplesPerSecond, remainingSeconds } = seen[1]!;
    expect(samplesPerSecond).toBeCloseTo(8 * stepsPerSecond!);
    expect(remainingSeconds).toBeCloseTo(1 / stepsPerSecond!);
  });

  it('reports the error of a batch or of a step as it is, closes its loggers, and releases what it fetched', async () => {
    const logger = new MemoryLogger();
    const batches = new SmallBatches();
    const step = scriptedStep([{}]);
    step.run = () => Promise.reject(new RangeError('out of memory'));
    await expect(train({ step, batches, schedule, totalSteps: 3, loggers: [logger] })).rejects.toThrow(RangeError);
    expect(logger.events).toEqual(['begin 0', 'failed']);
    expect(batches.released).toEqual([0, 1]);

    const broken = new SmallBatches();
    broken.next = () => Promise.reject(new TypeError('no such image'));
    await expect(train({ step, batches: broken, schedule, totalSteps: 3 })).rejects.toThrow(TypeError);
  });
});

describe('checkpoints', () => {
  it('are saved every so many steps and at the end, after the log', async () => {
    const [checkpoints, logger] = [new MemoryStore(), new MemoryLogger()];
    await run({ totalSteps: 10, saveEvery: 4, checkpoints, loggers: [logger] });
    expect(checkpoints.steps).toEqual([4, 8, 10]);
    expect(checkpoints.saved.map(({ position }) => position)).toEqual([{ next: 4 }, { next: 8 }, { next: 10 }]);
    expect(logger.events).toEqual(['begin 0', 'flush', 'flush', 'flush', 'complete']);
  });

  it('the best one is saved at once', async () => {
    const checkpoints = new MemoryStore();
    const scores = [3, 1, 2, Number.NaN, 0.5];
    const { result } = await run({
      totalSteps: 10,
      saveEvery: 10,
      checkpoints,
      evaluateEvery: 2,
      evaluate: async ({ step }) => ({ error: scores[step / 2 - 1]! }),
      best: { metric: 'error', better: 'lower' },
    });
    expect(checkpoints.steps).toEqual([2, 4, 10]);
    expect(result.best).toEqual({ metric: 'error', value: 0.5, step: 10 });
  });

  it('a run that is aborted anywhere and resumed is the run that was not', async () => {
    const whole = new MemoryLogger();
    const evaluate: TrainOptions<never>['evaluate'] = async ({ step, abortSignal }) => {
      abortSignal?.throwIfAborted();
      return { half: step / 2 };
    };
    const options = { logEvery: 1, evaluateEvery: 6, evaluate };
    const expected = await run({ ...options, loggers: [whole] });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 39 }), { minLength: 1, maxLength: 4 }), async (stops) => {
        const [checkpoints, logger] = [new MemoryStore(), new MemoryLogger()];
        for (const stop of [...new Set(stops)].toSorted((a, b) => a - b)) {
          const controller = new AbortController();
          const onProgress = ({ step }: TrainingProgress): void => {
            if (step === stop) controller.abort(STOP);
          };
          const running = run({ ...options, checkpoints, loggers: [logger], abortSignal: controller.signal, onProgress });
          await expect(running).rejects.toBe(STOP);
          expect(checkpoints.steps.at(-1)).toBe(stop);
        }
        const { state, result } = await run({ ...options, checkpoints, loggers: [logger] });
        expect(state).toEqual(expected.state);
        expect(result.last).toEqual(expected.result.last);
        expect(logger.records).toHaveLength(whole.records.length);
        expect(logger.values).toEqual(whole.values);
      }),
      { numRuns: 10 },
    );
  });

  it('are saved when the batches, an evaluation or a logger fail, and not when the step does', async () => {
    const failing = async (more: Partial<TrainOptions<never>>): Promise<number[]> => {
      const checkpoints = new MemoryStore();
      await expect(run({ checkpoints, ...more })).rejects.toThrow('no');
      return checkpoints.steps;
    };
    const no = (): Promise<never> => Promise.reject(new Error('no'));
    const batches = new SmallBatches();
    const next = batches.next.bind(batches);
    batches.next = async (options) => ((batches.position() as { next: number }).next === 6 ? no() : next(options));
    expect(await failing({ batches: batches as never })).toEqual([6]);
    expect(await failing({ evaluateEvery: 4, evaluate: no })).toEqual([4]);
    expect(await failing({ loggers: [{ log: ({ step }) => (step === 10 ? no() : undefined) }] })).toEqual([10]);
    expect(await failing({ loggers: [{ flush: no }], saveEvery: 5 })).toEqual([]);
    using step = await smallStep();
    const broken = { ...scriptedStep([{}]), run: no, state: () => step.state() };
    expect(await failing({ step: broken })).toEqual([]);
  });

  it('a complete one leaves nothing to do', async () => {
    const checkpoints = new MemoryStore();
    await run({ totalSteps: 4, checkpoints });
    const { result } = await run({ totalSteps: 4, checkpoints });
    expect(result).toMatchObject({ step: 4, last: undefined });
    expect(checkpoints.steps).toEqual([4]);
  });
});

describe('abort', () => {
  it('before the first step does nothing', async () => {
    const step = scriptedStep([{}]);
    const running = train({ step, batches: new SmallBatches(), schedule, totalSteps: 3, abortSignal: AbortSignal.abort('stop') });
    await expect(running).rejects.toBe('stop');
    expect(step.rates).toEqual([]);
  });

  it('is heard while a batch is waited for, and ends the wait of the source', async () => {
    const controller = new AbortController();
    const batches = new SmallBatches();
    const first = batches.next.bind(batches);
    let ended = false;
    const checkpoints = new MemoryStore();
    batches.next = async (options) => {
      if ((batches.position() as { next: number }).next < 2) return first(options);
      controller.abort(STOP);
      return new Promise((_, reject) => {
        const end = (): void => {
          ended = true;
          reject(options.abortSignal!.reason as Error);
        };
        if (options.abortSignal!.aborted) end();
        else options.abortSignal!.addEventListener('abort', end, { once: true });
      });
    };
    const running = train({
      step: scriptedStep([{}]),
      batches,
      schedule,
      totalSteps: 5,
      checkpoints,
      abortSignal: controller.signal,
    });
    await expect(running).rejects.toBe(STOP);
    expect(ended).toBe(true);
    expect(checkpoints.steps).toEqual([2]);
  });
});

describe('numbers that are not finite', () => {
  it('are skipped and counted, also over an abort', async () => {
    using step = await smallStep();
    const batches = new SmallBatches((index) => index % 3 === 1);
    const logger = new MemoryLogger();
    const checkpoints = new MemoryStore();
    const result = await train({
      step,
      batches: batches as never,
      schedule,
      totalSteps: 10,
      logEvery: 100,
      loggers: [logger],
      checkpoints,
    });
    expect(result.skippedSteps).toBe(3);
    expect(checkpoints.saved[0]).toMatchObject({ step: 10, state: { steps: 7 }, counts: { skippedSteps: 3, skippedInARow: 0 } });
    expect(logger.records.map(({ step: at, values }) => [at, Number.isNaN(values['loss'])])).toEqual([
      [1, false],
      [2, true],
      [5, true],
      [8, true],
      [10, false],
    ]);
  });

  it('stop the run when there are too many in a row, and the message names them', async () => {
    const bad = {
      loss: Number.NaN,
      gradientNorm: Number.NaN,
      skipped: true,
      metrics: { contrast: Number.POSITIVE_INFINITY, matching: 0.6 },
    };
    const step = scriptedStep([{}, bad, {}, bad, bad, bad]);
    const checkpoints = new MemoryStore();
    const running = train({
      step,
      batches: new SmallBatches(),
      schedule,
      totalSteps: 20,
      saveEvery: 1,
      checkpoints,
      nonFinite: { maxConsecutive: 2 },
    });
    await expect(running).rejects.toThrowErrorMatchingInlineSnapshot(
      `[TrainingError: train: step 6: contrast is Infinity, loss is NaN, gradientNorm is NaN; 3 in a row, expected at most 2 such steps in a row. Lower the learning rate, lengthen the warm-up or clip gradients; the newest checkpoint, of step 5, is from before.]`,
    );
    await expect(running).rejects.toMatchObject({ code: 'training', step: 6, names: ['contrast', 'loss', 'gradientNorm'] });
    expect(checkpoints.steps).toEqual([1, 2, 3, 4, 5]);
  });

  it('stop the run at once when the step did not skip them', async () => {
    const step = scriptedStep([{}, { gradientNorm: Number.NaN }]);
    const checkpoints = new MemoryStore();
    const running = train({ step, batches: new SmallBatches(), schedule, totalSteps: 20, saveEvery: 1, checkpoints });
    await expect(running).rejects.toThrowErrorMatchingInlineSnapshot(
      `[TrainingError: train: step 2: gradientNorm is NaN, and the step did not skip it: its parameters are lost. Lower the learning rate, lengthen the warm-up or clip gradients; the newest checkpoint, of step 1, is from before. A step that sets 'skipped' keeps them.]`,
    );
    expect(checkpoints.steps).toEqual([1]);
    const first = scriptedStep([{ gradientNorm: Number.NaN }]);
    const beginning = train({
      step: first,
      batches: new SmallBatches(),
      schedule,
      totalSteps: 20,
      saveEvery: 1,
      checkpoints: new MemoryStore(),
    });
    await expect(beginning).rejects.toThrow('clip gradients; there is no checkpoint from before.');
  });

  it('of the loss alone do not count as lost parameters', async () => {
    const step = scriptedStep([{ loss: Number.POSITIVE_INFINITY }, {}]);
    expect(await train({ step, batches: new SmallBatches(), schedule, totalSteps: 4 })).toMatchObject({ skippedSteps: 2 });
  });
});

it('refuses options that no run can have', async () => {
  const options = { step: scriptedStep([{}]), batches: new SmallBatches(), schedule: constantSchedule(1), totalSteps: 3 };
  const failure = (more: object): Promise<unknown> => train({ ...options, ...more }).catch((error: unknown) => error);
  expect(await failure({ totalSteps: 2.5 })).toMatchInlineSnapshot(
    `[InputError: train: totalSteps is 2.5, expected a whole number of 0 or more. Round it.]`,
  );
  expect(await failure({ logEvery: 0 })).toMatchInlineSnapshot(
    `[InputError: train: logEvery is 0, expected a whole number of 1 or more. Round it.]`,
  );
  expect(await failure({ evaluateEvery: 5 })).toMatchInlineSnapshot(
    `[InputError: train: evaluateEvery is 5, but there is no evaluate. Pass a function, or leave evaluateEvery out.]`,
  );
  expect(await failure({ best: { metric: 'cider', better: 'higher' } })).toMatchInlineSnapshot(
    `[InputError: train: best names 'cider', but nothing is evaluated. Set evaluateEvery and evaluate, or leave best out.]`,
  );
});
