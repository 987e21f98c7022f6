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
