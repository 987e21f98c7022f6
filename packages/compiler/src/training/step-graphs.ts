import {
  type Described,
  type EngineInputs,
  type HostTensor,
  type InputSpecs,
  type RunOptions,
  sizeOf,
  type TensorSpec,
  type Weight,
} from '@blip2/core';
import type { CompiledFunction } from '../compiled-function.ts';
import { compileFor, type Target } from '../compile.ts';
import type { RuntimeTensor } from '../runtime/runtime.ts';
import { flattenTree, mapTree } from '../tree.ts';
import type { adamWSchedule } from './adamw.ts';
import {
  gradientFunction,
  type GradientInputs,
  type GradientOutputs,
  type LossFunction,
  type OptimizerOptions,
  type StepInputs,
  type StepOutputs,
  trainingFunction,
  updateFunction,
  type UpdateInputs,
} from './training-function.ts';

/** Tensors in the runtime's memory by their paths, `params.layers.0.weight`: read by a run, and written over by it. */
export type KeptTensors = ReadonlyMap<string, RuntimeTensor>;

/** What a step needs besides its batches. */
export interface StepCall extends Pick<RunOptions, 'abortSignal'> {
  /** Parameters and both moments. */
  readonly kept: KeptTensors;
  readonly numbers: ReturnType<typeof adamWSchedule>;
}

/** What the graphs of a step report. */
export interface StepNumbers {
  /** `loss` among them; the mean over the batches. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly gradientNorm: number;
}

/** The compiled graphs of a training step. */
export interface StepGraphs<Batch> {
  /** Whether {@link StepGraphs.run} takes more than one batch. */
  readonly accumulates: boolean;
  /** Takes a step, each new value written over the old one. */
  run(batches: readonly EngineInputs<Batch>[], call: StepCall): Promise<StepNumbers>;
  dispose(): void;
}

/** What graphs are compiled from. */
export interface StepGraphOptions<Batch, Frozen> extends OptimizerOptions, RunOptions {
  readonly name: string;
  /** Shapes of the parameters. */
  readonly specs: unknown;
  readonly batch: InputSpecs<Batch>;
  readonly frozen?: Described<Frozen>;
}

const SCALAR: TensorSpec = { shape: [] };
const STEP_SPECS = { rate: SCALAR, epsilon: SCALAR, decay: SCALAR };

/** All of a step in one graph, for one batch. */
export async function wholeStep<Params, Batch, Frozen>(
  target: Target,
  loss: LossFunction<Params, Batch, Frozen>,
  { name, specs, batch, frozen, abortSignal, onProgress, ...optimizer }: StepGraphOptions<Batch, Frozen>,
): Promise<StepGraphs<Batch>> {
  const compiled = await compileFor<StepInputs<Params, Batch>, StepOutputs<Params>, Frozen>(
    target,
    trainingFunction(loss, optimizer),
    {
      name,
      inputs: { params: specs, first: specs, second: specs, batch, step: STEP_SPECS } as never,
      weights: frozen,
      quantize: 'never',
      abortSignal,
      onProgress,
    },
  );
  return {
    accumulates: false,
    async run([only], { kept, numbers, abortSignal: signal }) {
      const inputs = { ...stateTrees(specs, kept), batch: only, step: scalarsOf(numbers) } as never;
      const { metrics, gradientNorm } = await outputsOf(compiled, inputs, kept, signal);
      return { metrics: await takeNumbers(metrics), gradientNorm: await takeNumber(gradientNorm) };
    },
    dispose: () => compiled.dispose(),
  };
}

/**
 * A step in two graphs: one runs for each batch and adds its gradients to sums in the runtime's memory, the other one updates. Only the
 * first one has the frozen weights.
 */
export async function accumulatingStep<Params, Batch, Frozen>(
  target: Target,
  loss: LossFunction<Params, Batch, Frozen>,
  { name, specs, batch, frozen, abortSignal, onProgress, ...optimizer }: StepGraphOptions<Batch, Frozen>,
): Promise<StepGraphs<Batch>> {
  const add = await compileFor<GradientInputs<Params, Batch>, GradientOutputs<Params>, Frozen>(target, gradientFunction(loss), {
    name: `${name}, gradients`,
    inputs: { params: specs, sums: specs, batch, goesOn: SCALAR } as never,
    weights: frozen,
    quantize: 'never',
    abortSignal,
    onProgress,
  });
  try {
    const update = await compileFor<UpdateInputs<Params>, Omit<StepOutputs<Params>, 'metrics'>>(
      target,
      updateFunction<Params>(optimizer),
      {
        name: `${name}, update`,
        inputs: {
          params: specs,
          first: specs,
          second: specs,
          sums: specs,
          share: SCALAR,
          fault: SCALAR,
          step: STEP_SPECS,
        } as never,
        quantize: 'never',
        abortSignal,
      },
    );
    return new AccumulatingGraphs<Params, Batch>(add, update, specs, zeros(target, specs));
  } catch (cause) {
    add.dispose();
    throw cause;
  }
}

class AccumulatingGraphs<Params, Batch> implements StepGraphs<Batch> {
  readonly accumulates = true;
  readonly #add: CompiledFunction<GradientInputs<Params, Batch>, GradientOutputs<Params>>;
  readonly #update: CompiledFunction<UpdateInputs<Params>, Omit<StepOutputs<Params>, 'metrics'>>;
  readonly #specs: unknown;
  readonly #sums: KeptTensors;

  constructor(
    add: CompiledFunction<GradientInputs<Params, Batch>, GradientOutputs<Params>>,
    update: CompiledFunction<UpdateInputs<Params>, Omit<StepOutputs<Params>, 'metrics'>>,
    specs: unknown,
    sums: KeptTensors,
  ) {
    this.#add = add;
    this.#update = update;
    this.#specs = specs;
    this.#sums = sums;
  }

  async run(batches: readonly EngineInputs<Batch>[], { kept, numbers, abortSignal }: StepCall): Promise<StepNumbers> {
    const { params, first, second } = stateTrees(this.#specs, kept);
    const sums = treeOf(this.#specs, this.#sums, 'sums');
    const reports: Record<string, number>[] = [];
    for (const batch of batches) {
      const inputs = { params, sums, batch, goesOn: hostScalar(Math.min(1, reports.length)) } as never;
      const { metrics } = await outputsOf(this.#add, inputs, this.#sums, abortSignal);
      reports.push(await takeNumbers(metrics));
    }
    const metrics = meanOf(reports);
    const isWhole = Object.values(metrics).every(Number.isFinite);
    const scalars = {
      share: hostScalar(1 / batches.length),
      fault: hostScalar(isWhole ? 0 : Number.NaN),
      step: scalarsOf(numbers),
    };
    // Not abortable: half an update would be neither the old parameters nor the new ones.
    const { gradientNorm } = await outputsOf(this.#update, { params, first, second, sums, ...scalars } as never, kept);
    return { metrics, gradientNorm: await takeNumber(gradientNorm) };
  }

  dispose(): void {
    this.#add.dispose();
    this.#update.dispose();
    for (const tensor of this.#sums.values()) tensor.dispose();
  }
}

/** The mean of each number. */
export function meanOf(reports: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const names = Object.keys(reports[0] ?? {});
  return Object.fromEntries(
    names.map((name) => [name, reports.reduce((sum, report) => sum + report[name]!, 0) / reports.length]),
  );
}

/** Parameters and moments as they start, by path. @param params - Values, or weights by reference. */
export async function initialTensors(
  { runtime }: Target,
  params: unknown,
  { abortSignal }: Pick<RunOptions, 'abortSignal'>,
): Promise<Map<string, RuntimeTensor>> {
  const kept = new Map<string, RuntimeTensor>();
  try {
    for (const { path, leaf } of flattenTree<HostTensor | Weight>(params)) {
      const { shape } = leaf;
      const data = 'read' in leaf ? ((await leaf.read({ abortSignal })) as Float32Array) : leaf.data;
      kept.set(`params.${path}`, runtime.createTensor({ shape, data }));
      for (const kind of ['first', 'second'])
        kept.set(`${kind}.${path}`, runtime.createTensor({ shape, data: new Float32Array(sizeOf(shape)) }));
    }
    return kept;
  } catch (cause) {
    for (const tensor of kept.values()) tensor.dispose();
    throw cause;
  }
}

function zeros({ runtime }: Target, specs: unknown): KeptTensors {
  return new Map(
    flattenTree<TensorSpec>(specs).map(({ path, leaf }) => {
      const shape = leaf.shape as readonly number[];
      return [`sums.${path}`, runtime.createTensor({ shape, data: new Float32Array(sizeOf(shape)) })];
    }),
  );
}

function stateTrees(specs: unknown, kept: KeptTensors): Record<'params' | 'first' | 'second', unknown> {
  return {
    params: treeOf(specs, kept, 'params'),
    first: treeOf(specs, kept, 'first'),
    second: treeOf(specs, kept, 'second'),
  };
}

function treeOf(specs: unknown, kept: KeptTensors, kind: string): unknown {
  const leaves = flattenTree(specs);
  return mapTree(specs, (_, index) => kept.get(`${kind}.${leaves[index]!.path}`));
}

function scalarsOf(numbers: Readonly<Record<string, number>>): Record<string, HostTensor> {
  return Object.fromEntries(Object.entries(numbers).map(([key, value]) => [key, hostScalar(value)]));
}

function hostScalar(value: number): HostTensor {
  return { shape: [], data: Float32Array.of(value) };
}

/** What a graph gives besides what it writes into tensors. */
interface NewOutputs {
  readonly metrics: Readonly<Record<string, RuntimeTensor>>;
  readonly gradientNorm: RuntimeTensor;
}

async function outputsOf<Inputs, Outputs>(
  compiled: CompiledFunction<Inputs, Outputs>,
  inputs: EngineInputs<Inputs>,
  into: KeptTensors,
  abortSignal?: AbortSignal,
): Promise<NewOutputs> {
  return (await compiled.run(inputs, { into, abortSignal })) as unknown as NewOutputs;
}

async function takeNumbers(metrics: NewOutputs['metrics']): Promise<Record<string, number>> {
  const entries = Object.entries(metrics).map(async ([name, scalar]) => [name, await takeNumber(scalar)] as const);
  return Object.fromEntries(await Promise.all(entries));
}

async function takeNumber(scalar: RuntimeTensor): Promise<number> {
  const [value] = await scalar.data();
  scalar.dispose();
  return value!;
}
