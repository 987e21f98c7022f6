import { InputError, leavesOf, UnsupportedBackendError, type Weight } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, TensorInfo } from '@tensorflow/tfjs-core';
import { flattenTree, mapTree } from '../tree.ts';
import { callerOf, withLongStacks } from './caller.ts';
import type { TracedGraph } from './graph-builder.ts';
import { registerTraceKernels } from './kernels/index.ts';
import { TRACE_BACKEND, TraceBackend, type TracedType, onnxType } from './trace-backend.ts';

/** A concrete input of a trace. */
export interface TraceInput {
  readonly shape: readonly number[];
  readonly dtype: TracedType;
}

/** What a trace gives: the graph, and the function's result as a tree of output names. */
export interface Trace {
  readonly graph: TracedGraph;
  /** The result's tree; leaf `i` of {@link flattenTree} is output `i` of the graph. */
  readonly outputs: unknown;
}

let backend: TraceBackend | undefined;

/**
 * Runs a function once under the tracing backend.
 *
 * @param compute - Called with tensors that have shapes and no values.
 * @param params - A tree of weights by reference; the function sees tensors.
 * @param inputs - A tree of shapes and types.
 * @throws {UnsupportedBackendError} for an operation that has no ONNX form, naming it and the line that called it.
 * @throws {InputError} when the function reads values, waits for something or draws random numbers.
 */
export function trace(compute: (params: never, inputs: never) => unknown, params: unknown, inputs: unknown): Trace {
  return withLongStacks(() => withoutChance(() => record(compute, params, inputs)));
}

function record(compute: (params: never, inputs: never) => unknown, params: unknown, inputs: unknown): Trace {
  const tracing = traceBackend();
  const engine = tf.engine();
  const before = tf.getBackend();
  const builder = tracing.begin();
  switchTo(TRACE_BACKEND);
  engine.startScope('compile');
  try {
    const toTensor = (info: TensorInfo): Tensor => engine.makeTensorFromTensorInfo(info);
    const weights = new Map<Weight, Tensor>();
    for (const weight of leavesOf(params) as Weight[]) {
      if (!weights.has(weight)) weights.set(weight, toTensor(tracing.weightTensor(builder.weight(weight))));
    }
    const tensors = flattenTree(inputs).map(({ path, leaf }) => {
      const { shape, dtype } = leaf as TraceInput;
      return toTensor(tracing.tensor(builder.input(path, onnxType(dtype), shape), { shape, dtype }));
    });
    const result = compute(
      mapTree(params, (leaf) => weights.get(leaf as Weight)) as never,
      mapTree(inputs, (_, index) => tensors[index]) as never,
    );
    assertSynchronous(result);
    const taken = new Set<string>();
    const outputs = flattenTree(result).map(({ leaf }) => {
      const tensor = leaf as Tensor;
      // An output has a node of its own: not an input as it came, nor another output.
      const computed = tracing.nameOf(tensor);
      const name = builder.isComputed(computed) && !taken.has(computed) ? computed : builder.operation('Identity', [computed]);
      taken.add(name);
      return { name, type: onnxType(tensor.dtype), shape: tensor.shape };
    });
    return {
      graph: builder.finish(outputs),
      outputs: mapTree(result, (_, index) => outputs[index]!.name),
    };
  } catch (cause) {
    throw explain(cause);
  } finally {
    engine.endScope();
    switchTo(before);
    tracing.end();
  }
}

/** What waits goes on after the trace, when there is no graph any more. */
function assertSynchronous(result: unknown): void {
  if (!(result instanceof Promise)) return;
  result.catch(() => {}); // it fails on its way, and what it says would come without its cause
  throw new InputError(
    'compile: the function is asynchronous and gave a promise, expected a tensor or a tree of tensors. ' +
      'Wait for what it needs before compiling, and pass that as an input.',
  );
}

/** A number that is drawn while tracing would be the same in every run of the graph: a dropout that always drops the same. */
function withoutChance<Result>(body: () => Result): Result {
  const { random } = Math;
  Math.random = () => {
    throw new InputError(
      `compile: ${callerOf(new Error())} draws random numbers while the function is traced; they would be the same in every run. ` +
        `Draw them outside and pass them as an input, or give a seed if they shall be the same.`,
    );
  };
  try {
    return body();
  } finally {
    Math.random = random;
  }
}

function traceBackend(): TraceBackend {
  if (backend === undefined) {
    const made = new TraceBackend();
    backend = made;
    tf.registerBackend(TRACE_BACKEND, () => made, 0);
    registerTraceKernels(made);
    tf.engine().findBackend(TRACE_BACKEND); // initialised now, so that switching to it is synchronous
  }
  return backend;
}

/** Synchronous for backends that are initialised, which both of ours are. */
function switchTo(name: string | undefined): void {
  if (name) {
    void tf.setBackend(name);
    return;
  }
  // Nobody had chosen a backend; the first operation after the trace chooses as if there had been none.
  const engine = tf.engine() as unknown as { backendName: string | undefined; backendInstance: tf.KernelBackend | null };
  engine.backendName = undefined;
  engine.backendInstance = null;
}

/** tfjs says only which kernel is missing; the user wants to know which line needs it. */
function explain(cause: unknown): unknown {
  if (!(cause instanceof Error)) return cause;
  const kernel = cause.message.match(/(?:Cannot find registered kernel|Kernel) '(\w+)'/)?.[1];
  if (kernel !== undefined) {
    return new UnsupportedBackendError(
      `compile: ${callerOf(cause)} uses the tfjs kernel '${kernel}', which cannot be compiled yet. ` +
        `Write it with other operations, or keep that part eager; the package's README lists the kernels that can.`,
      { cause },
    );
  }
  const gradient = cause.message.match(/gradient function not found for (\w+)/)?.[1];
  if (gradient === undefined) return cause;
  return new UnsupportedBackendError(
    `compile: ${callerOf(cause)} needs the gradient of '${gradient}', which is not registered. ` +
      `Import '@tensorflow/tfjs', which registers all that tfjs has; if that is done, write it with operations that have one.`,
    { cause },
  );
}
