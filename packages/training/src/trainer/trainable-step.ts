import type { RunOptions } from '@blip2/core';

/** What a training step reports. */
export interface StepReport {
  /** Of the parameters before the step. */
  readonly loss: number;
  /** Of all gradients together, before clipping. */
  readonly gradientNorm: number;
  /** Other numbers of the loss function, by their names. */
  readonly metrics: Readonly<Record<string, number>>;
  /** True when a gradient was not finite and the step left parameters and moments as they were. @default false */
  readonly skipped?: boolean;
}

/**
 * All that a step is, between two runs: trees of `HostTensor`. Trees may come back from a file with other containers (records
 * for lists); leaves are matched by their paths, `layers.0.weight`.
 */
export interface StepState {
  readonly params: unknown;
  /** Running means of gradients and of their squares. */
  readonly first: unknown;
  readonly second: unknown;
  /** Steps that the optimiser has taken. */
  readonly steps: number;
}

/**
 * One step of training with everything that changes: parameters and the optimiser's moments. `TrainingStep` of `@blip2/compiler` is one.
 */
export interface TrainableStep<Batch> {
  /**
   * Takes one step. Steps do not overlap.
   * @param batch - Kept; the caller's.
   */
  run(batch: Batch, options: { readonly learningRate: number } & Pick<RunOptions, 'abortSignal'>): Promise<StepReport>;
  /** A copy of everything, for a checkpoint. */
  state(): Promise<StepState>;
  /**
   * Goes on from a state that was read before.
   * @param state - Copied. @throws {InputError} when it is one of another model; nothing has changed then.
   */
  restore(state: StepState): void | Promise<void>;
  dispose(): void;
}

/** A step that also takes several batches at once, with their mean loss: the gradients of all of them in the memory of one. */
export interface AccumulatingStep<Batch> extends TrainableStep<Batch> {
  /**
   * Takes one step.
   * @param batches - At least one; kept, the caller's.
   */
  runAccumulated(
    batches: readonly Batch[],
    options: { readonly learningRate: number } & Pick<RunOptions, 'abortSignal'>,
  ): Promise<StepReport>;
}

/**
 * A step as `train` takes it where each step has several batches; see `batchLists`.
 *
 * @param step - What it does, disposing included, is done to this one.
 *
 * @example
 * const step = await createTrainingStep(loss, { parameters, example, accumulate: true });
 * await train({ step: accumulated(step), batches: batchLists(batches, 4), schedule, totalSteps });
 */
export function accumulated<Batch>(step: AccumulatingStep<Batch>): TrainableStep<readonly Batch[]> {
  return {
    run: (batches, options) => step.runAccumulated(batches, options),
    state: () => step.state(),
    restore: (state) => step.restore(state),
    dispose: () => step.dispose(),
  };
}
