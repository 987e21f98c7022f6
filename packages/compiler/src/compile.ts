import type { Described, InputSpecs, RunOptions } from '@blip2/core';
import { buildGraph } from './build-graph.ts';
import type { GraphStore } from './cache/graph-store.ts';
import { CompiledFunction, type FunctionSignature } from './compiled-function.ts';
import type { OnnxGraph, OnnxInitializer } from './onnx/graph.ts';
import { placeWeights } from './passes/place-weights.ts';
import { type CompiledDtype, quantizationPolicy } from './quantize/policy.ts';
import type { Runtime, SessionOptions } from './runtime/runtime.ts';
import type { WeightStore } from './weights/weight-store.ts';

/** What a function is compiled for. */
export interface CompileOptions<Inputs, Weights> extends RunOptions {
  /** Shape and type of every input, in a tree like the function's first argument. Named axes may have any size. */
  readonly inputs: InputSpecs<Inputs>;
  /** Weights by reference, in a tree like the function's second argument; they go into the graph without passing through JavaScript. */
  readonly weights?: Described<Weights>;
  /**
   * Everything that the function depends on besides its arguments, as a JSON value: the configuration that it closes over and a
   * version. With it a second start finds the compiled graph in the cache. @default none: compiled at each start
   */
  readonly identity?: unknown;
  /** For messages. @default 'compiled function' */
  readonly name?: string;
  /** Numbers of the weights. @default 'fp32' */
  readonly dtype?: CompiledDtype;
  /** How many rows go through each product in one call, which decides how weights are quantised. @default 'few-rows' */
  readonly quantize?: 'never' | 'few-rows' | 'many-rows';
}

/** Where a compiled function runs and finds its weights. */
export interface Target {
  readonly runtime: Runtime;
  readonly weights: WeightStore;
  /** Keeps graphs from one start to the next. @default none */
  readonly graphs?: GraphStore;
}

/**
 * Compiles a function of tensors for a target: it is traced, never run by tfjs, and becomes one graph of ONNX Runtime.
 *
 * @param compute - A pure function of trees of tensors. Tensors that it closes over become constants of the graph.
 * @returns the compiled function, the caller's to dispose.
 * @throws {UnsupportedBackendError} for an operation that has no ONNX form, naming it and the line that called it.
 * @throws {InputError} when the function reads values of tensors or depends on sizes in a way that one graph cannot.
 */
export async function compileFor<Inputs, Outputs, Weights = unknown>(
  target: Target,
  compute: (inputs: Inputs, weights: Weights) => Outputs,
  options: CompileOptions<Inputs, Weights>,
): Promise<CompiledFunction<Inputs, Outputs>> {
  const { name, dtype, quantize, weights, identity, inputs, abortSignal } = withDefaults(options);
  abortSignal?.throwIfAborted();
  const key = identity === undefined ? undefined : await target.graphs?.keyOf({ identity, inputs, weights, dtype, quantize });
  const stored = key === undefined ? undefined : await target.graphs!.load(key, { name, abortSignal });
  const exportGraph = (): Promise<OnnxGraph> => graphWithValues(target, compute, options);
  if (stored !== undefined) return new CompiledFunction(name, stored.signature, stored.session, { exportGraph });

  const { graph, signature, settings, release } = await compileGraph(target, compute, options);
  try {
    const session =
      key === undefined
        ? await target.runtime.createSession(graph, settings)
        : await target.graphs!.createSession(key, graph, signature, settings);
    return new CompiledFunction(name, signature, session, { onDispose: release, exportGraph });
  } catch (cause) {
    release();
    throw cause;
  }
}

/** A function as a graph with its weights in place, ready for a runtime. */
export interface CompiledGraph {
  readonly graph: OnnxGraph;
  readonly signature: FunctionSignature;
  readonly settings: SessionOptions;
  /** Gives the weights back, when the graph is not used any more. */
  release(): void;
}

/** Everything of {@link compileFor} but the session. */
export async function compileGraph<Inputs, Outputs, Weights>(
  target: Pick<Target, 'weights'>,
  compute: (inputs: Inputs, weights: Weights) => Outputs,
  options: CompileOptions<Inputs, Weights>,
): Promise<CompiledGraph> {
  const { name, dtype, quantize, weights, inputs, abortSignal } = withDefaults(options);
  const built = buildGraph(compute as (inputs: never, weights: never) => Outputs, inputs, weights);
  const placed = placeWeights(built.graph, quantizationPolicy(dtype, quantize));
  const initializers = await target.weights.place(placed.requests, options);
  const { nodes, constants } = placed;
  // Products of blocks are fast only with their codes rearranged; what is mapped otherwise stays where it is.
  const prepack = nodes.some(({ operator }) => operator === 'MatMulNBits') ? true : undefined;
  return {
    graph: { name, nodes, initializers: [...constants, ...initializers], inputs: placed.inputs, outputs: placed.outputs },
    signature: { inputs: built.inputs, outputAxes: built.outputAxes, outputs: built.outputs },
    settings: { name, prepack, abortSignal },
    release: () => target.weights.release?.(placed.requests),
  };
}

/** The graph of a function with all values in it, in memory. */
async function graphWithValues<Inputs, Outputs, Weights>(
  target: Pick<Target, 'weights'>,
  compute: (inputs: Inputs, weights: Weights) => Outputs,
  options: CompileOptions<Inputs, Weights>,
): Promise<OnnxGraph> {
  const { graph, release } = await compileGraph(target, compute, options);
  try {
    const initializers: OnnxInitializer[] = [];
    for (const { location, bytes, ...rest } of graph.initializers) {
      initializers.push({ ...rest, bytes: bytes ?? (await target.weights.read!(location!)) });
    }
    return { ...graph, initializers };
  } finally {
    release();
  }
}

function withDefaults<Inputs, Weights>(options: CompileOptions<Inputs, Weights>) {
  const { name = 'compiled function', dtype = 'fp32', quantize = 'few-rows', weights = {} } = options;
  return { ...options, name, dtype, quantize, weights } as const;
}
