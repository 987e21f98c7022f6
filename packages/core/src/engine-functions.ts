import type { Tensor } from '@tensorflow/tfjs-core';
import { ProgressReporter, type RunOptions, untilAborted } from './abort-and-progress.ts';
import type { Engine, EngineInputs, EngineOutputs, EngineTensor, PreparedFunction, PrepareOptions } from './engine.ts';
import { DisposedError } from './errors.ts';
import { type Described, leavesOf, sizeInMemory } from './parameters.ts';

/**
 * Of the functions in `layers`. Raise it when one of them computes something else, or by other operations, for the same
 * arguments: engines keep what they prepared.
 */
const LAYERS_VERSION = 1;

/** What a function closes over, for {@link graphIdentity}. */
export interface FunctionIdentity {
  /** Name of the package that defines it. */
  readonly package: string;
  /** A number that the package raises when one of its functions changes. */
  readonly version: number;
  /** Name of the function, with its variant. */
  readonly name: string;
  /** The configuration that it closes over: a JSON value. */
  readonly config: unknown;
}

/** The `identity` of a stage's function for {@link PrepareOptions}: what it says of itself, and the version of core's layers. */
export function graphIdentity(identity: FunctionIdentity): unknown {
  return { ...identity, layers: LAYERS_VERSION };
}

/**
 * A function of a stage that an {@link Engine} prepares when it is first needed, or before. Callers that come at the same
 * time share the preparing; it ends when the last of them aborts.
 */
export class EngineFunction<Params, Inputs, Outputs> {
  /** Its weights, by reference. */
  readonly params: Described<Params>;
  readonly #engine: Engine;
  readonly #compute: (params: Params, inputs: Inputs) => Outputs;
  readonly #options: Omit<PrepareOptions<Params, Inputs>, keyof RunOptions>;
  #preparing: Promise<PreparedFunction<Inputs, Outputs>> | undefined;
  /** Ends `#preparing`. */
  #stopPreparing: AbortController = new AbortController();
  #prepared: PreparedFunction<Inputs, Outputs> | undefined;
  #waiting = 0;
  #running = 0;
  #disposed = false;

  constructor(
    engine: Engine,
    compute: (params: Params, inputs: Inputs) => Outputs,
    options: Omit<PrepareOptions<Params, Inputs>, keyof RunOptions>,
  ) {
    this.#engine = engine;
    this.#compute = compute;
    this.#options = options;
    this.params = options.params;
  }

  /** Prepares it, unless that was done. @throws {DisposedError} after `dispose()`. */
  async prepare(options: RunOptions = {}): Promise<void> {
    await this.#acquire(options);
  }

  /**
   * Runs it, preparing it first if need be.
   *
   * @param inputs - Kept; the caller's.
   * @returns results that stay in the engine, the caller's to dispose.
   * @throws {DisposedError} after `dispose()`, also when that comes while it runs.
   */
  async run(inputs: EngineInputs<Inputs>, options: RunOptions = {}): Promise<EngineOutputs<Outputs>> {
    const prepared = await this.#acquire(options);
    options.abortSignal?.throwIfAborted();
    this.#running++;
    let outputs: EngineOutputs<Outputs>;
    try {
      outputs = await prepared.run(inputs, { abortSignal: options.abortSignal });
    } finally {
      this.#running--;
      if (this.#disposed && this.#running === 0) prepared.dispose();
    }
    if (!this.#disposed) return outputs;
    disposeOutputs(outputs);
    throw new DisposedError(this.#options.name);
  }

  /** Like {@link EngineFunction.run}, with the results as tensors of the current tfjs backend, the caller's. */
  async runToTensors(inputs: EngineInputs<Inputs>, options: RunOptions = {}): Promise<Outputs> {
    return outputsToTensors(await this.run(inputs, options));
  }

  /** Lets go of what was prepared, once no call uses it any more. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#stopPreparing.abort();
    if (this.#running === 0) this.#prepared?.dispose();
  }

  async #acquire({ abortSignal, onProgress }: RunOptions): Promise<PreparedFunction<Inputs, Outputs>> {
    if (this.#disposed) throw new DisposedError(this.#options.name);
    abortSignal?.throwIfAborted();
    if (this.#prepared !== undefined) return this.#prepared;
    this.#waiting++;
    try {
      const prepared = await untilAborted((this.#preparing ??= this.#startPreparing(onProgress)), abortSignal);
      if (this.#disposed) throw new DisposedError(this.#options.name);
      return prepared;
    } catch (cause) {
      throw this.#disposed ? new DisposedError(this.#options.name) : cause;
    } finally {
      this.#waiting--;
      if (this.#waiting === 0 && this.#prepared === undefined) {
        this.#preparing = undefined;
        this.#stopPreparing.abort();
      }
    }
  }

  #startPreparing(onProgress: RunOptions['onProgress']): Promise<PreparedFunction<Inputs, Outputs>> {
    this.#stopPreparing = new AbortController();
    const { signal } = this.#stopPreparing;
    const preparing = this.#engine.prepare(this.#compute, { ...this.#options, abortSignal: signal, onProgress });
    preparing.then(
      (prepared) => {
        if (signal.aborted) prepared.dispose(); // all who waited have left
        else this.#prepared = prepared;
      },
      () => undefined, // the error goes to those who wait
    );
    return preparing;
  }
}

/**
 * Prepares functions of a stage, one after the other, and reports progress in bytes of their parameters; weights of
 * several functions count once.
 *
 * @param part - For progress: `vision encoder`.
 * On error or abort all functions are disposed.
 */
export async function prepareFunctions(
  functions: readonly PreparableFunction[],
  part: string,
  options: RunOptions = {},
): Promise<void> {
  const progress = new ProgressReporter('load', sizeInMemory(functions.map(({ params }) => params)), options.onProgress);
  const counted = new Set<unknown>();
  try {
    for (const one of functions) {
      const own = leavesOf(one.params).filter((leaf) => !counted.has(leaf));
      for (const leaf of own) counted.add(leaf);
      const ownBytes = sizeInMemory(own);
      let reported = 0;
      // An engine counts bytes of its own, of quantised weights for example: only the share that is done is taken over.
      const reportUpTo = (share: number): void => {
        const bytes = Math.floor(share * ownBytes);
        if (bytes > reported) progress.add(part, bytes - reported);
        reported = Math.max(reported, bytes);
      };
      await one.prepare({
        abortSignal: options.abortSignal,
        onProgress: ({ loadedBytes, totalBytes }) => reportUpTo(totalBytes > 0 ? loadedBytes / totalBytes : 0),
      });
      reportUpTo(1);
    }
    options.abortSignal?.throwIfAborted();
    progress.complete(part);
  } catch (cause) {
    for (const one of functions) one.dispose();
    throw cause;
  }
}

/** An {@link EngineFunction} of any kind. */
export type PreparableFunction = Pick<EngineFunction<never, never, unknown>, 'prepare' | 'dispose'> & {
  readonly params: unknown;
};

/**
 * An engine's results as tensors of the current tfjs backend, the caller's. Takes the results over: they are disposed, also
 * on error.
 */
export async function outputsToTensors<Outputs>(outputs: EngineOutputs<Outputs>): Promise<Outputs> {
  const tensors = new Map<EngineTensor, Tensor>();
  try {
    for (const output of engineTensorsOf(outputs)) tensors.set(output, await output.toTensor());
    return replaceEngineTensors(outputs, tensors) as Outputs;
  } catch (cause) {
    for (const tensor of tensors.values()) tensor.dispose();
    throw cause;
  } finally {
    disposeOutputs(outputs);
  }
}

/** Disposes every tensor in a tree of an engine's results. */
export function disposeOutputs(outputs: unknown): void {
  for (const output of engineTensorsOf(outputs)) output.dispose();
}

function engineTensorsOf(tree: unknown): EngineTensor[] {
  if (typeof tree !== 'object' || tree === null) return [];
  return isEngineTensor(tree) ? [tree] : Object.values(tree).flatMap(engineTensorsOf);
}

function replaceEngineTensors(tree: unknown, tensors: ReadonlyMap<EngineTensor, Tensor>): unknown {
  if (typeof tree !== 'object' || tree === null) return tree;
  if (isEngineTensor(tree)) return tensors.get(tree);
  if (Array.isArray(tree)) return tree.map((child) => replaceEngineTensors(child, tensors));
  return Object.fromEntries(Object.entries(tree).map(([key, child]) => [key, replaceEngineTensors(child, tensors)]));
}

function isEngineTensor(value: object): value is EngineTensor {
  return typeof (value as Partial<EngineTensor>).toTensor === 'function';
}
