import {
  type Described,
  DisposedError,
  type EngineInputs,
  type HostTensor,
  InputError,
  type InputSpecs,
  type RunOptions,
  type TensorSpec,
} from '@blip2/core';
import type { Target } from '../compile.ts';
import type { Runtime, RuntimeTensor } from '../runtime/runtime.ts';
import { flattenTree, mapTree } from '../tree.ts';
import { adamWDefaults, adamWSchedule } from './adamw.ts';
import { accumulatingStep, initialTensors, type StepGraphs, wholeStep } from './step-graphs.ts';
import type { LossFunction, OptimizerOptions } from './training-function.ts';

/** What a training step is compiled for. */
export interface TrainingStepOptions<Params, Batch, Frozen> extends OptimizerOptions, RunOptions {
  /** Where the parameters start: weights by reference, or values. */
  readonly params: Described<Params> | HostTree<Params>;
  /** Shape and type of a batch. */
  readonly batch: InputSpecs<Batch>;
  /** Weights that do not change, by reference. */
  readonly frozen?: Described<Frozen>;
  /**
   * Whether steps may take several batches, with `runAccumulated`: in two graphs, and with memory for a sum of the gradients.
   * @default false: one graph, one batch
   */
  readonly accumulate?: boolean;
  /** For messages. @default 'training step' */
  readonly name?: string;
}

/** How one step is taken. */
export interface StepRunOptions extends Pick<RunOptions, 'abortSignal'> {
  readonly learningRate: number;
}

/** A tree of values. */
export type HostTree<Tree> = Tree extends { readonly shape: readonly number[] }
  ? HostTensor
  : Tree extends object
    ? { readonly [Key in keyof Tree]: HostTree<Tree[Key]> }
    : Tree;

/** All that a training run is, between two steps. */
export interface TrainingState<Params> {
  readonly params: HostTree<Params>;
  /** AdamW's running means of gradients and of their squares. */
  readonly first: HostTree<Params>;
  readonly second: HostTree<Params>;
  /** Steps taken. */
  readonly steps: number;
}

/** What a step reports. */
export interface StepReport {
  readonly loss: number;
  /** Of all gradients together, before clipping. */
  readonly gradientNorm: number;
  /** The other scalars of the loss function, by their names. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Whether one of these numbers was not finite, so that nothing changed and the step does not count. */
  readonly skipped: boolean;
}

type Moment = 'params' | 'first' | 'second';
const KEPT: readonly Moment[] = ['params', 'first', 'second'];

/**
 * Training with forward, backward, clipping and AdamW in ONNX Runtime: in one graph, or, where steps take several batches, in two.
 * Parameters and moments stay in ONNX Runtime's memory from step to step, each written over its old value.
 */
export class TrainingStep<Params, Batch> {
  /** For messages. */
  readonly name: string;
  readonly #graphs: StepGraphs<Batch>;
  readonly #shapes: Params;
  readonly #settings: ReturnType<typeof adamWDefaults>;
  /** By path: `params.layers.0.weight`. */
  readonly #kept: Map<string, RuntimeTensor>;
  readonly #runtime: Runtime;
  #steps = 0;
  #disposed = false;

  /** @param graphs - And `kept`: this object's from now on. */
  constructor(
    name: string,
    graphs: StepGraphs<Batch>,
    shapes: Params,
    options: OptimizerOptions,
    kept: Map<string, RuntimeTensor>,
    runtime: Runtime,
  ) {
    this.name = name;
    this.#graphs = graphs;
    this.#shapes = shapes;
    this.#settings = adamWDefaults(options);
    this.#kept = kept;
    this.#runtime = runtime;
  }

  /** Steps taken, without those that were skipped. */
  get steps(): number {
    return this.#steps;
  }

  /**
   * Takes one step. Steps must not overlap: wait for one before the next.
   *
   * @param batch - Kept; the caller's.
   * @returns loss and metrics of the parameters before the step.
   * @throws {ShapeError} when the batch differs from what was compiled.
   * @throws {DisposedError} after `dispose()`.
   */
  run(batch: EngineInputs<Batch>, options: StepRunOptions): Promise<StepReport> {
    return this.runAccumulated([batch], options);
  }

  /**
   * Takes one step with the mean of the losses of several batches, one after the other in the memory of one. Where the loss is a mean
   * over rows, this is the step of all the rows as one batch.
   *
   * @param batches - Of the compiled size each; kept, the caller's.
   * @returns means over the batches, of the parameters before the step. Where a number of one of them is not finite, the whole step is
   *   skipped.
   * @throws {InputError} for no batch, and for more than one where the step was compiled without `accumulate`.
   * @throws {ShapeError} and {DisposedError} as `run`.
   */
  async runAccumulated(batches: readonly EngineInputs<Batch>[], options: StepRunOptions): Promise<StepReport> {
    if (this.#disposed) throw new DisposedError(this.name);
    if (batches.length === 0 || (batches.length > 1 && !this.#graphs.accumulates)) {
      throw new InputError(
        `${this.name}: runAccumulated got ${batches.length} batches, expected ${batches.length === 0 ? 'at least one' : 'one'}. ` +
          (batches.length === 0 ? 'Pass a batch.' : 'Compile the step with `accumulate: true` for more.'),
      );
    }
    const numbers = adamWSchedule(this.#settings, this.#steps + 1, options.learningRate);
    const { metrics, gradientNorm } = await this.#graphs.run(batches, {
      kept: this.#kept,
      numbers,
      abortSignal: options.abortSignal,
    });
    const { loss = Number.NaN, ...others } = metrics;
    const skipped = ![loss, gradientNorm, ...Object.values(others)].every(Number.isFinite);
    if (!skipped) this.#steps++;
    return { loss, gradientNorm, metrics: others, skipped };
  }

  /** A copy of everything, for a checkpoint. */
  async state(): Promise<TrainingState<Params>> {
    if (this.#disposed) throw new DisposedError(this.name);
    const copies = await Promise.all(
      KEPT.map(async (kind) => {
        const leaves = flattenTree(this.#shapes).map(({ path }) => this.#kept.get(`${kind}.${path}`)!);
        const values = await Promise.all(
          leaves.map(async ({ shape, data }, index) => ({ shape, data: (await data.call(leaves[index]!)).slice() })),
        );
        return [kind, mapTree(this.#shapes, (_, index) => values[index])] as const;
      }),
    );
    return { ...(Object.fromEntries(copies) as Record<Moment, HostTree<Params>>), steps: this.#steps };
  }

  /**
   * Goes on from a state that was read before.
   *
   * @param state - Copied.
   * @throws {InputError} when it has other parameters, naming the first; nothing has changed then.
   */
  restore(state: TrainingState<Params>): void {
    if (this.#disposed) throw new DisposedError(this.name);
    const values = restorableValues(state, this.#kept);
    for (const [path, tensor] of this.#kept) {
      this.#kept.set(path, this.#runtime.createTensor(values.get(path)!));
      tensor.dispose();
    }
    this.#steps = state.steps;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#graphs.dispose();
    for (const tensor of this.#kept.values()) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * The values of a state by path, `first.layers.0.weight`.
 *
 * @param expected - What is to be restored, by path.
 * @throws {InputError} when the state has other parameters, naming the first.
 */
export function restorableValues(
  state: Readonly<Record<Moment, unknown>>,
  expected: Iterable<readonly [path: string, tensor: { readonly shape: readonly number[] }]>,
): Map<string, HostTensor> {
  const values = new Map(
    KEPT.flatMap((kind) => flattenTree<HostTensor>(state[kind], undefined, kind).map(({ path, leaf }) => [path, leaf])),
  );
  for (const [path, { shape }] of expected) {
    const found = values.get(path);
    if (found?.shape.join() === shape.join()) continue;
    throw new InputError(
      `restore: ${path} is ${found === undefined ? 'missing' : `[${found.shape.join(', ')}]`}, expected [${shape.join(', ')}]. ` +
        `Restore a state of the same model, as state() gave it.`,
    );
  }
  return values;
}

/**
 * Compiles a training step for a target.
 *
 * @param loss - Differentiable in the parameters; returns the loss and other scalars to report.
 * @returns the step with its parameters, the caller's to dispose.
 * @throws {UnsupportedBackendError} for an operation, or its gradient, that has no ONNX form.
 */
export async function compileTrainingStepFor<Params, Batch, Frozen = unknown>(
  target: Target,
  loss: LossFunction<Params, Batch, Frozen>,
  options: TrainingStepOptions<Params, Batch, Frozen>,
): Promise<TrainingStep<Params, Batch>> {
  const { name = 'training step', params, accumulate = false, ...rest } = options;
  const specs = mapTree(params, (leaf): TensorSpec => ({ shape: (leaf as HostTensor).shape }));
  const compileGraphs = accumulate ? accumulatingStep : wholeStep;
  const graphs = await compileGraphs<Params, Batch, Frozen>(target, loss, { ...rest, name, specs });
  try {
    const kept = await initialTensors(target, params, rest);
    return new TrainingStep(name, graphs, specs as Params, rest, kept, target.runtime);
  } catch (cause) {
    graphs.dispose();
    throw cause;
  }
}
