import {
  type Described,
  DisposedError,
  type EngineInputs,
  type HostTensor,
  InputError,
  type InputSpecs,
  type RunOptions,
  sizeOf,
  type TensorSpec,
  type Weight,
} from '@blip2/core';
import { type CompiledFunction } from '../compiled-function.ts';
import { compileFor, type Target } from '../compile.ts';
import type { Runtime, RuntimeTensor } from '../runtime/runtime.ts';
import { flattenTree, mapTree } from '../tree.ts';
import { adamWDefaults, adamWSchedule } from './adamw.ts';
import {
  type LossFunction,
  type OptimizerOptions,
  type StepInputs,
  type StepOutputs,
  trainingFunction,
} from './training-function.ts';

/** What a training step is compiled for. */
export interface TrainingStepOptions<Params, Batch, Frozen> extends OptimizerOptions, RunOptions {
  /** Where the parameters start: weights by reference, or values. */
  readonly params: Described<Params> | HostTree<Params>;
  /** Shape and type of a batch. */
  readonly batch: InputSpecs<Batch>;
  /** Weights that do not change, by reference. */
  readonly frozen?: Described<Frozen>;
  /** For messages. @default 'training step' */
  readonly name?: string;
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
 * Training with forward, backward, clipping and AdamW in one graph. Parameters and moments stay in ONNX Runtime's memory from
 * step to step, each written over its old value.
 */
export class TrainingStep<Params, Batch> {
  readonly #function: CompiledFunction<StepInputs<Params, Batch>, StepOutputs<Params>>;
  readonly #shapes: Params;
  readonly #settings: ReturnType<typeof adamWDefaults>;
  /** By path: `params.layers.0.weight`. */
  readonly #kept: Map<string, RuntimeTensor>;
  readonly #runtime: Runtime;
  #steps = 0;
  #disposed = false;

  constructor(
    compiled: CompiledFunction<StepInputs<Params, Batch>, StepOutputs<Params>>,
    shapes: Params,
    options: OptimizerOptions,
    kept: Map<string, RuntimeTensor>,
    runtime: Runtime,
  ) {
    this.#function = compiled;
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
  async run(
    batch: EngineInputs<Batch>,
    options: { readonly learningRate: number } & Pick<RunOptions, 'abortSignal'>,
  ): Promise<StepReport> {
    if (this.#disposed) throw new DisposedError(this.#function.name);
    const numbers = adamWSchedule(this.#settings, this.#steps + 1, options.learningRate);
    const scalars = Object.fromEntries(
      Object.entries(numbers).map(([key, value]) => [key, { shape: [], data: Float32Array.of(value) }]),
    );
    const trees = Object.fromEntries(KEPT.map((kind) => [kind, this.#tree(kind)]));
    const inputs = { ...trees, batch, step: scalars } as never;
    const outputs = await this.#function.run(inputs, { into: this.#kept, abortSignal: options.abortSignal });
    const { metrics, gradientNorm } = outputs as unknown as {
      metrics: Record<string, RuntimeTensor>;
      gradientNorm: RuntimeTensor;
    };
    const { loss = Number.NaN, ...others } = Object.fromEntries(
      await Promise.all(Object.entries(metrics).map(async ([name, scalar]) => [name, await takeNumber(scalar)] as const)),
    );
    const report = { loss, gradientNorm: await takeNumber(gradientNorm), metrics: others };
    const skipped = ![loss, report.gradientNorm, ...Object.values(others)].every(Number.isFinite);
    if (!skipped) this.#steps++;
    return { ...report, skipped };
  }

  /** A copy of everything, for a checkpoint. */
  async state(): Promise<TrainingState<Params>> {
    if (this.#disposed) throw new DisposedError(this.#function.name);
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
    if (this.#disposed) throw new DisposedError(this.#function.name);
    const values = new Map(
      KEPT.flatMap((kind) => flattenTree<HostTensor>(state[kind], undefined, kind).map(({ path, leaf }) => [path, leaf])),
    );
    for (const [path, { shape }] of this.#kept) {
      const found = values.get(path);
      if (found?.shape.join() === shape.join()) continue;
      throw new InputError(
        `restore: ${path} is ${found === undefined ? 'missing' : `[${found.shape.join(', ')}]`}, expected [${shape.join(', ')}]. ` +
          `Restore a state of the same model, as state() gave it.`,
      );
    }
    for (const [path, tensor] of this.#kept) {
      this.#kept.set(path, this.#runtime.createTensor(values.get(path)!));
      tensor.dispose();
    }
    this.#steps = state.steps;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#function.dispose();
    for (const tensor of this.#kept.values()) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #tree(kind: Moment): unknown {
    const leaves = flattenTree(this.#shapes);
    return mapTree(this.#shapes, (_, index) => this.#kept.get(`${kind}.${leaves[index]!.path}`));
  }
}

async function takeNumber(scalar: RuntimeTensor): Promise<number> {
  const [value] = await scalar.data();
  scalar.dispose();
  return value!;
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
  const { name = 'training step', params, batch, frozen, abortSignal, onProgress } = options;
  const specs = mapTree(params, (leaf): TensorSpec => ({ shape: (leaf as HostTensor).shape }));
  const scalar: TensorSpec = { shape: [] };
  const compiled = await compileFor<StepInputs<Params, Batch>, StepOutputs<Params>, Frozen>(
    target,
    trainingFunction(loss, options),
    {
      name,
      inputs: {
        params: specs,
        first: specs,
        second: specs,
        batch,
        step: { rate: scalar, epsilon: scalar, decay: scalar },
      } as never,
      weights: frozen,
      quantize: 'never',
      abortSignal,
      onProgress,
    },
  );
  const kept = new Map<string, RuntimeTensor>();
  try {
    for (const { path, leaf } of flattenTree<HostTensor | Weight>(params)) {
      const { shape } = leaf;
      const data = 'read' in leaf ? ((await leaf.read({ abortSignal })) as Float32Array) : leaf.data;
      kept.set(`params.${path}`, target.runtime.createTensor({ shape, data }));
      for (const kind of ['first', 'second'])
        kept.set(`${kind}.${path}`, target.runtime.createTensor({ shape, data: new Float32Array(sizeOf(shape)) }));
    }
    return new TrainingStep(compiled, specs as Params, options, kept, target.runtime);
  } catch (cause) {
    compiled.dispose();
    for (const tensor of kept.values()) tensor.dispose();
    throw cause;
  }
}
