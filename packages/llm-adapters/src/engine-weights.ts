import {
  countParameters,
  DisposedError,
  type Engine,
  type EngineInputs,
  type EngineOutputs,
  type PreparedFunction,
  type PrepareOptions,
  ProgressReporter,
  ResourceError,
  type RunOptions,
  sizeInMemory,
  untilAborted,
} from '@blip2/core';
import type { PassOptions } from './decoding-session.ts';
import type { ModelWeights } from './model-weights.ts';

/**
 * A part of what an engine keeps prepared functions under. Raise it when a function of this package that engines are given,
 * or a layer of `@blip2/core` below it, computes something else for the same configuration, or takes or gives other tensors.
 */
export const GRAPH_VERSION = 1;

/** A function that an engine prepares when it is told to, or else at its first call. Owns what the engine prepared. */
export class EngineFunction<Inputs, Outputs> {
  /** Bytes of its weights as float32. */
  readonly sizeBytes: number;
  readonly #name: string;
  readonly #prepare: (options: RunOptions) => Promise<PreparedFunction<Inputs, Outputs>>;
  #preparing: Promise<PreparedFunction<Inputs, Outputs>> | undefined;
  #prepared: PreparedFunction<Inputs, Outputs> | undefined;
  #disposed = false;

  /** @param prepare - Asks the engine. */
  constructor(name: string, sizeBytes: number, prepare: (options: RunOptions) => Promise<PreparedFunction<Inputs, Outputs>>) {
    this.#name = name;
    this.sizeBytes = sizeBytes;
    this.#prepare = prepare;
  }

  /** Prepares it now. After a failure or an abort it is as if it had not been called. */
  async load(options: RunOptions): Promise<void> {
    await this.#acquire(options);
  }

  /**
   * Prepares the function, unless that was done, and runs it.
   * @returns the outputs, the caller's to dispose. @throws {DisposedError} after `dispose()`.
   */
  async run(inputs: EngineInputs<Inputs>, options: PassOptions): Promise<EngineOutputs<Outputs>> {
    // Others may wait for the same preparation, so that the abort of one call does not end it.
    const prepared = await untilAborted(this.#acquire({}), options.abortSignal);
    return prepared.run(inputs, options);
  }

  dispose(): void {
    this.#disposed = true;
    this.#prepared?.dispose();
    this.#prepared = undefined;
  }

  async #acquire(options: RunOptions): Promise<PreparedFunction<Inputs, Outputs>> {
    if (this.#disposed) throw new DisposedError(this.#name);
    return (this.#preparing ??= this.#start(options));
  }

  async #start(options: RunOptions): Promise<PreparedFunction<Inputs, Outputs>> {
    try {
      const prepared = await this.#prepare(options);
      if (this.#disposed) {
        prepared.dispose();
        throw new DisposedError(this.#name);
      }
      this.#prepared = prepared;
      return prepared;
    } catch (cause) {
      this.#preparing = undefined;
      throw cause;
    }
  }
}

/**
 * A function of a language model for an engine. Weights may be quantised for few rows: a step has one for each beam, and a
 * prompt tens.
 *
 * @param name - Of the function, as `optStep`.
 * @param config - All that `compute` closes over.
 */
export function engineFunction<Params, Inputs, Outputs>(
  engine: Engine,
  compute: (params: Params, inputs: Inputs) => Outputs,
  {
    function: functionName,
    config,
    ...options
  }: Pick<PrepareOptions<Params, Inputs>, 'name' | 'params' | 'inputs'> & { readonly function: string; readonly config: unknown },
): EngineFunction<Inputs, Outputs> {
  const identity = { package: '@blip2/llm-adapters', function: functionName, version: GRAPH_VERSION, config };
  return new EngineFunction(options.name, sizeInMemory(options.params), (run) =>
    engine.prepare(compute, { ...options, ...run, identity, quantize: 'few-rows' }),
  );
}

/** The functions of a model. */
interface EngineFunctions {
  readonly needed: readonly AnyFunction[];
  readonly rare: readonly AnyFunction[];
}

type AnyFunction = Pick<EngineFunction<never, never>, 'sizeBytes' | 'load' | 'dispose'>;

/** Weights that an engine keeps, inside the functions that it prepared. */
export class EngineWeights implements ModelWeights {
  readonly parameterCount: number;
  readonly streamedBytes = 0;
  readonly #needed: readonly AnyFunction[];
  readonly #rare: readonly AnyFunction[];

  /**
   * @param params - All of the model's, described.
   * @param functions - What `load` prepares, and what is prepared at its first call; this object's, from now on.
   */
  constructor(params: unknown, { needed, rare }: EngineFunctions) {
    this.parameterCount = countParameters(params);
    this.#needed = needed;
    this.#rare = rare;
  }

  /** Prepares the functions, one after the other; progress is told in bytes of all parameters as float32. */
  async load({ abortSignal, onProgress }: RunOptions): Promise<void> {
    const part = 'language model';
    const progress = new ProgressReporter('load', 4 * this.parameterCount, onProgress);
    // Functions share weights: each gets its part of the whole.
    const sizeBytes = this.#needed.reduce((sum, { sizeBytes: size }) => sum + size, 0);
    for (const needed of this.#needed) {
      const share = Math.floor((progress.totalBytes * needed.sizeBytes) / sizeBytes);
      let done = 0;
      const report = (fraction: number): void => {
        const bytes = Math.floor(share * fraction);
        if (bytes > done) progress.add(part, bytes - done);
        done = Math.max(done, bytes);
      };
      await needed.load({ abortSignal, onProgress: ({ loadedBytes, totalBytes }) => report(loadedBytes / (totalBytes || 1)) });
      report(1);
    }
    abortSignal?.throwIfAborted();
    progress.complete(part);
  }

  dispose(): void {
    for (const prepared of [...this.#needed, ...this.#rare]) prepared.dispose();
  }
}

/** What stands in the way of a loss: gradients go through tensors. @param model - For the message. */
export function gradientsNeedTensors(model: string, engine: Engine): ResourceError {
  return new ResourceError(
    `${model} has its weights in an engine (${engine.name}), but gradients need them all as tensors in memory. ` +
      `Make it without the engine option to train it.`,
  );
}
