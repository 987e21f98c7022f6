import {
  countParameters,
  type Engine,
  EngineFunction,
  graphIdentity,
  type PreparableFunction,
  prepareFunctions,
  type PrepareOptions,
  ResourceError,
  type RunOptions,
} from '@blip2/core';
import { type ModelWeights, PART } from './model-weights.ts';

/**
 * Raise it when a function of this package that engines are given computes something else, or by other operations, for the
 * same configuration: engines keep what they prepared.
 */
const GRAPH_VERSION = 1;

/** What a language model says of a function besides what the function computes. */
interface FunctionOptions<Params, Inputs> extends Pick<PrepareOptions<Params, Inputs>, 'name' | 'params' | 'inputs'> {
  /** The function's own name. */
  readonly functionName: string;
  /** All that it closes over. */
  readonly config: unknown;
}

/**
 * A function of a language model for an engine. Its weights may be quantised as they should be for few rows: a step has one for
 * each beam.
 */
export function engineFunction<Params, Inputs, Outputs>(
  engine: Engine,
  compute: (params: Params, inputs: Inputs) => Outputs,
  { functionName, config, ...options }: FunctionOptions<Params, Inputs>,
): EngineFunction<Params, Inputs, Outputs> {
  const identity = graphIdentity({ package: '@blip2/llm-adapters', version: GRAPH_VERSION, name: functionName, config });
  return new EngineFunction(engine, compute, { ...options, identity, quantize: 'few-rows' });
}

/** Weights that an engine keeps, inside the functions that it prepared. */
export class EngineWeights implements ModelWeights {
  readonly parameterCount: number;
  readonly streamedBytes = 0;
  readonly #needed: readonly PreparableFunction[];
  readonly #rare: readonly PreparableFunction[];

  /**
   * @param needed - Functions that `load` prepares; together they have all the weights.
   * @param rare - Functions that their first call prepares. All are this object's, from now on.
   */
  constructor(needed: readonly PreparableFunction[], rare: readonly PreparableFunction[]) {
    this.parameterCount = countParameters(needed.map(({ params }) => params));
    this.#needed = needed;
    this.#rare = rare;
  }

  load(options: RunOptions): Promise<void> {
    return prepareFunctions(this.#needed, PART, options);
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
