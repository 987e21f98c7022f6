import * as tf from '@tensorflow/tfjs-core';
import type { DataType, Rank, Tensor, TensorContainer } from '@tensorflow/tfjs-core';
// By path: the tests of core use this package, and a dependency back would close a circle that the build refuses.
import {
  bindAxes,
  DisposedError,
  type Engine,
  type EngineInputs,
  type EngineOutputs,
  type EngineTensor,
  type HostTensor,
  InputError,
  type InputSpecs,
  materialize,
  nextTurn,
  type PreparedFunction,
  type PrepareOptions,
  type RunOptions,
  ShapeError,
  type TensorSpec,
} from '../../packages/core/src/index.ts';

/** The reference {@link Engine}, with what tests ask about it. */
export interface EagerEngine extends Engine {
  /** Names of the functions that were prepared so far, in order. */
  readonly prepared: readonly string[];
  /** The runs so far, in order. */
  readonly runs: readonly EngineRun[];
}

/** One run of a function. */
export interface EngineRun {
  readonly name: string;
  /** The tfjs kernels that it called, in order; empty unless they are recorded. */
  readonly kernels: readonly string[];
}

/**
 * An engine that computes with tfjs, on the current backend, as the function says: it keeps the rules of the interface, and
 * nothing else. Tests of stages compare it with golden values; a compiler is compared with it.
 *
 * @param options.recordKernels - Writes down the kernels of each run: a compiler needs them to be the same for all sizes.
 *   Layers take other forms on the wasm backend, so do it on `cpu`. @default false
 *
 * @example
 * using encoder = await createVisionEncoder(weights, config, { engine: eagerEngine() });
 */
export function eagerEngine({ recordKernels = false }: { readonly recordKernels?: boolean } = {}): EagerEngine {
  const prepared: string[] = [];
  const runs: EngineRun[] = [];
  const compute = async (name: string, run: () => TensorContainer): Promise<TensorContainer> => {
    if (!recordKernels) {
      runs.push({ name, kernels: [] });
      return tf.tidy(run);
    }
    let outputs: TensorContainer = [];
    const { kernels } = await tf.profile(() => (outputs = tf.tidy(run)));
    runs.push({ name, kernels: kernels.map((kernel) => kernel.name) });
    return outputs;
  };
  return {
    name: 'eager tfjs',
    prepared,
    runs,
    async prepare<Params, Inputs, Outputs>(
      pure: (params: Params, inputs: Inputs) => Outputs,
      options: PrepareOptions<Params, Inputs>,
    ): Promise<PreparedFunction<Inputs, Outputs>> {
      const params = await materialize<Params>(options.params, options);
      prepared.push(options.name);
      return new EagerFunction(pure, options, params, (run) => compute(options.name, run));
    },
    async gatherRows(tensor: EngineTensor, rows: readonly number[]): Promise<EngineTensor> {
      const count = tensor.shape[0]!;
      const stranger = rows.find((row) => !Number.isInteger(row) || row < 0 || row >= count);
      if (stranger !== undefined) {
        throw new InputError(`gatherRows: row ${stranger} of ${count}, expected a whole number below. Pass old row numbers.`);
      }
      return new EagerTensor(tf.tidy(() => tf.gather(tensorOf(tensor), tf.tensor1d(rows.slice(), 'int32'))));
    },
  };
}

class EagerFunction<Params, Inputs, Outputs> implements PreparedFunction<Inputs, Outputs> {
  readonly #compute: (params: Params, inputs: Inputs) => Outputs;
  readonly #name: string;
  readonly #specs: InputSpecs<Inputs>;
  readonly #runTidy: (run: () => TensorContainer) => Promise<TensorContainer>;
  #params: Params | undefined;

  constructor(
    compute: (params: Params, inputs: Inputs) => Outputs,
    { name, inputs }: PrepareOptions<Params, Inputs>,
    params: Params,
    runTidy: (run: () => TensorContainer) => Promise<TensorContainer>,
  ) {
    this.#compute = compute;
    this.#name = name;
    this.#specs = inputs;
    this.#params = params;
    this.#runTidy = runTidy;
  }

  async run(
    inputs: EngineInputs<Inputs>,
    { abortSignal }: Pick<RunOptions, 'abortSignal'> = {},
  ): Promise<EngineOutputs<Outputs>> {
    this.#paramsOrThrow();
    checkInputs(this.#specs, inputs, this.#name);
    await nextTurn();
    abortSignal?.throwIfAborted();
    const params = this.#paramsOrThrow();
    // Clones, so that an output which is an input, or which stands in two places, has an owner in each of them.
    const outputs = await this.#runTidy(() => {
      const tensors = mapLeaves(inputs, (leaf) => tensorOf(leaf as Tensor | HostTensor | EngineTensor)) as Inputs;
      return mapLeaves(this.#compute(params, tensors), (leaf) => tf.clone(leaf as Tensor)) as TensorContainer;
    });
    return mapLeaves(outputs, (leaf) => new EagerTensor(leaf as Tensor)) as EngineOutputs<Outputs>;
  }

  dispose(): void {
    tf.dispose(this.#params as TensorContainer);
    this.#params = undefined;
  }

  #paramsOrThrow(): Params {
    if (this.#params === undefined) throw new DisposedError(this.#name);
    return this.#params;
  }
}

class EagerTensor implements EngineTensor {
  readonly shape: readonly number[];
  readonly dtype: EngineTensor['dtype'];
  #tensor: Tensor | undefined;

  constructor(tensor: Tensor) {
    this.shape = tensor.shape;
    this.dtype = tensor.dtype as EngineTensor['dtype'];
    this.#tensor = tensor;
  }

  /** The tensor itself, which stays this object's. */
  get tensor(): Tensor {
    if (this.#tensor === undefined) throw new DisposedError('engine tensor');
    return this.#tensor;
  }

  data(): Promise<Float32Array | Int32Array | Uint8Array> {
    return this.tensor.data();
  }

  async toTensor<R extends Rank = Rank>(): Promise<Tensor<R>> {
    return tf.clone(this.tensor) as Tensor<R>;
  }

  dispose(): void {
    this.#tensor?.dispose();
    this.#tensor = undefined;
  }
}

/** The tensor of an input: itself where it is one, made now from a host's numbers. */
function tensorOf(input: Tensor | HostTensor | EngineTensor): Tensor {
  if (input instanceof tf.Tensor) return input;
  if (input instanceof EagerTensor) return input.tensor;
  if (typeof input.data === 'function') throw new InputError('An engine tensor of another engine was passed. Pass its data.');
  return tf.tensor(input.data, input.shape.slice(), dtypeOf(input));
}

function dtypeOf(input: Tensor | HostTensor | EngineTensor): DataType {
  if ('dtype' in input) return input.dtype;
  if (input.data instanceof Float32Array) return 'float32';
  return input.data instanceof Int32Array ? 'int32' : 'bool';
}

/** @throws {ShapeError} when the inputs are not what was declared, in tree, dtype or sizes. */
function checkInputs(specs: unknown, inputs: unknown, where: string): void {
  const declared = leavesWithPath(specs) as [string, TensorSpec][];
  const given = new Map(leavesWithPath(inputs) as [string, Tensor | HostTensor | EngineTensor][]);
  const axes = declared.map(([name, { shape, dtype = 'float32' }]) => {
    const input = given.get(name);
    if (input === undefined)
      throw new ShapeError(`${where}: ${name} is missing, expected [${shape.join(', ')}]. Pass it.`, [], shape);
    if (dtypeOf(input) !== dtype) {
      const message = `${where}: ${name} has ${dtypeOf(input)} numbers, expected ${dtype}. Pass them in this type.`;
      throw new ShapeError(message, input.shape, shape);
    }
    given.delete(name);
    return { name, axes: shape, shape: input.shape };
  });
  for (const [name, { shape }] of given) {
    throw new ShapeError(`${where}: ${name} is not among the inputs it was prepared for. Leave it out.`, shape, []);
  }
  bindAxes(axes, where);
}

/** Leaves of a tree of tensors or specs: whatever has a shape. */
function leavesWithPath(tree: unknown, path: readonly string[] = []): [string, unknown][] {
  if (isLeaf(tree)) return [[path.join('.') || 'the input', tree]];
  if (typeof tree !== 'object' || tree === null) return [];
  return Object.entries(tree).flatMap(([key, child]) => leavesWithPath(child, [...path, key]));
}

function mapLeaves(tree: unknown, map: (leaf: unknown) => unknown): unknown {
  if (isLeaf(tree)) return map(tree);
  if (Array.isArray(tree)) return tree.map((child) => mapLeaves(child, map));
  if (typeof tree !== 'object' || tree === null) return tree;
  return Object.fromEntries(Object.entries(tree).map(([key, child]) => [key, mapLeaves(child, map)]));
}

function isLeaf(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Array.isArray((value as TensorSpec).shape);
}
