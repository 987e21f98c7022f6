import type { Described, EngineInputs, InputSpecs, RunOptions } from '@blip2/core';
import { buildGraph } from './build-graph.ts';
import type { GraphStore } from './cache/graph-store.ts';
import { CompiledFunction, type FunctionSignature } from './compiled-function.ts';
import type { OnnxGraph, OnnxInitializer } from './onnx/graph.ts';
import { placeGraph, type ReadyGraph } from './place-graph.ts';
import { type MeasuredForms, measureForms } from './quantize/measure-forms.ts';
import { type CompiledDtype, quantizationPolicy, type RowCount } from './quantize/policy.ts';
import { readSamples } from './quantize/read-samples.ts';
import { type QuantizationReport, reportProducts } from './quantize/report.ts';
import type { Runtime } from './runtime/runtime.ts';
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
  readonly quantize?: RowCount;
  /**
   * Typical inputs of one call, the same ones each time. With int8 for many rows on the processor, the form of each product is chosen by what they show;
   * they are asked for at each start, because the cache is keyed by them. @default none: block by block, which is safe and half as fast
   */
  readonly samples?: () => Promise<EngineInputs<Inputs>>;
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
  given: CompileOptions<Inputs, Weights>,
): Promise<CompiledFunction<Inputs, Outputs>> {
  given.abortSignal?.throwIfAborted();
  const samples = isMeasured(target, given) ? await readSamples(await given.samples!()) : undefined;
  const options = { ...given, samples: samples && (() => Promise.resolve(samples)) };
  const { name, dtype, quantize, weights, identity, inputs, abortSignal } = withDefaults(options);
  const functionKey = { identity, inputs, weights, dtype, quantize, samples };
  const key = identity === undefined ? undefined : await target.graphs?.keyOf(functionKey);
  const stored = key === undefined ? undefined : await target.graphs!.load(key, { name, abortSignal });
  const exportGraph = (): Promise<OnnxGraph> => graphWithValues(target, compute, options);
  if (stored !== undefined) {
    const { signature, report, session } = stored;
    return new CompiledFunction(name, signature, session, { report, exportGraph });
  }
  const { graph, signature, report, settings, release } = await compileGraph(target, compute, options);
  try {
    const session =
      key === undefined
        ? await target.runtime.createSession(graph, settings)
        : await target.graphs!.createSession(key, graph, { signature, report }, settings);
    return new CompiledFunction(name, signature, session, { report, onDispose: release, exportGraph });
  } catch (cause) {
    release();
    throw cause;
  }
}

/** A function as a graph with its weights in place, ready for a runtime. */
export interface CompiledGraph extends ReadyGraph {
  readonly signature: FunctionSignature;
  /** Absent for a function in float32. */
  readonly report: QuantizationReport | undefined;
}

/** Everything of {@link compileFor} but the session. */
export async function compileGraph<Inputs, Outputs, Weights>(
  target: Pick<Target, 'weights' | 'runtime'>,
  compute: (inputs: Inputs, weights: Weights) => Outputs,
  options: CompileOptions<Inputs, Weights>,
): Promise<CompiledGraph> {
  const { name, dtype, quantize, weights, inputs, abortSignal, onProgress } = withDefaults(options);
  const built = buildGraph(compute as (inputs: never, weights: never) => Outputs, inputs, weights);
  let measured: MeasuredForms | undefined;
  if (isMeasured(target, options)) {
    measured = await measureForms(target, built, await options.samples!(), { name, abortSignal, onProgress });
  }
  const policy = measured?.policy ?? quantizationPolicy(dtype, quantize);
  const isFloat = dtype === 'fp32' || quantize === 'never';
  return {
    // What was measured is converted already, and its progress told.
    ...(await placeGraph(target.weights, built.graph, policy, { name, abortSignal, ...(measured ? {} : { onProgress }) })),
    signature: { inputs: built.inputs, outputAxes: built.outputAxes, outputs: built.outputs },
    report: isFloat ? undefined : (measured?.report ?? { name, products: reportProducts(built.graph, policy) }),
  };
}

/**
 * Whether there is a choice to measure: other providers have no fast product with one scale for all activations, and 4 bits only have blocks.
 */
function isMeasured<Inputs, Weights>({ runtime }: Pick<Target, 'runtime'>, options: CompileOptions<Inputs, Weights>): boolean {
  const { dtype, quantize, samples } = options;
  return samples !== undefined && dtype === 'int8' && quantize === 'many-rows' && runtime.provider === 'cpu';
}

/** The graph of a function with all values in it, in memory. */
async function graphWithValues<Inputs, Outputs, Weights>(
  target: Pick<Target, 'weights' | 'runtime'>,
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
