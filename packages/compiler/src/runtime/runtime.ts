import type { EngineTensor, HostTensor, RunOptions } from '@blip2/core';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { OnnxGraph, OnnxValue } from '../onnx/graph.ts';

/** Where ONNX Runtime computes. `wasm` is the processor in browsers. */
export type Provider = 'cpu' | 'cuda' | 'webgpu' | 'wasm';

/** ONNX Runtime on this machine, with one provider. Sessions of one runtime exchange tensors without copies. */
export interface Runtime {
  /** For messages: `ONNX Runtime 1.30.0, cpu`. */
  readonly name: string;
  readonly provider: Provider;
  /**
   * Loads a graph. It may be made of any graph whose inputs and outputs are float32, int32 or bool.
   *
   * @returns a session, the caller's to dispose.
   * @throws {UnsupportedBackendError} when ONNX Runtime cannot run the graph.
   * @throws {ResourceError} when memory or disk run out.
   */
  createSession(graph: OnnxGraph, options: SessionOptions): Promise<RuntimeSession>;
  /**
   * Values in the runtime's memory, for outputs written `into` them.
   * @param values - Copied. @returns a tensor, the caller's to dispose.
   */
  createTensor(values: HostTensor): RuntimeTensor;
  /**
   * Copies rows of a tensor where it is: row `i` of the result is row `rows[i]`.
   * @param tensor - Kept. @returns a tensor, the caller's to dispose.
   * @throws {InputError} for a row that the tensor has not.
   */
  gatherRows(tensor: EngineTensor, rows: readonly number[]): Promise<RuntimeTensor>;
  /** Lets go of memory kept for reuse. Sessions and tensors live on; new sessions are refused. Idempotent. */
  dispose(): void;
}

/** How a graph is loaded. */
export interface SessionOptions extends Pick<RunOptions, 'abortSignal'> {
  /** For messages: `vision encoder`. */
  readonly name: string;
  /**
   * Rearranges the weights of matrix products once, which makes products of few rows faster and keeps a second copy of those
   * weights in memory. @default false for a graph that refers to weight files, which stay mapped, else true
   */
  readonly prepack?: boolean;
  /**
   * Rearranges the graph once. Without it weights in 16 bits are converted in each run, instead of once into memory of their own.
   * @default true
   */
  readonly optimize?: boolean;
}

/** A loaded graph. Runs are one after the other, in the order of the calls. */
export interface RuntimeSession {
  readonly name: string;
  /** As the graph has them, in its order. */
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /**
   * @param inputs - One for each input of the graph, in its order. Kept; the caller's. Host values are read when the run starts,
   *   so they must not change before the promise resolves; tensors may be disposed at once.
   * @param outputs - Which outputs, in what order the results shall be. @default all
   * @returns the results, the caller's to dispose.
   * @throws {ShapeError} naming the input or output whose shape differs from the graph's.
   * @throws {InputError} naming the input whose type differs.
   * @throws {DisposedError} after `dispose()`, or for an input that was disposed.
   */
  run(
    inputs: readonly RuntimeValue[],
    outputs?: readonly OutputRequest[],
    options?: Pick<RunOptions, 'abortSignal'>,
  ): Promise<RuntimeTensor[]>;
  /**
   * A tensor of tfjs as an input for {@link run}, where both compute on one GPU and it needs no copy through JavaScript.
   *
   * @param tensor - Kept; may be disposed at once. @returns a tensor, the caller's to dispose, or `undefined` where its values have to be read.
   */
  borrow(tensor: Tensor): RuntimeTensor | undefined;
  /** Frees the graph after the runs under way. Resolves when it is freed; idempotent. */
  dispose(): Promise<void>;
}

/** An input: values in JavaScript's memory, or a tensor; one of the same runtime is passed without a copy. */
export type RuntimeValue = HostTensor | EngineTensor;

/** Values where the runtime computed them. */
export interface RuntimeTensor extends EngineTensor {
  readonly isDisposed: boolean;
}

/** An output that a run shall give. */
export interface OutputRequest {
  readonly name: string;
  /**
   * Its shape, where the caller knows it: memory is then reused instead of allocated.
   * @default computed, where each of the output's axes is fixed or has the name of an input's axis
   */
  readonly shape?: readonly number[];
  /**
   * Writes into this tensor, of the output's shape and type, and returns it. It may be an input of the same run, which
   * is right only when no node reads that input after the output was begun: the caller has to order the graph so.
   */
  readonly into?: RuntimeTensor;
}
