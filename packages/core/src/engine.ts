import type { Rank, Tensor } from '@tensorflow/tfjs-core';
import type { RunOptions } from './abort-and-progress.ts';
import type { Described } from './parameters.ts';

/**
 * What executes whole pure functions of parameters and inputs. A stage that is given an engine hands it the same functions
 * that eager code calls layer by layer; it does not know how they run. `@blip2/compiler` implements it with ONNX Runtime.
 */
export interface Engine {
  /** For messages: `ONNX Runtime, cpu, int8`. */
  readonly name: string;
  /**
   * Prepares a function for many calls.
   *
   * @param compute - A pure function of tensors. It may be called several times, with tensors of any size that have no values;
   *   it must not read them.
   * @returns the function, the caller's to dispose.
   */
  prepare<Params, Inputs, Outputs>(
    compute: (params: Params, inputs: Inputs) => Outputs,
    options: PrepareOptions<Params, Inputs>,
  ): Promise<PreparedFunction<Inputs, Outputs>>;
  /**
   * The rows of a tensor in another order or number: row `i` of the result is row `rows[i]`.
   * @param tensor - Stays the caller's. @returns a new tensor, the caller's.
   */
  gatherRows(tensor: EngineTensor, rows: readonly number[]): Promise<EngineTensor>;
}

/** What an {@link Engine} is told about a function. */
export interface PrepareOptions<Params, Inputs> extends RunOptions {
  /** For messages and progress: `vision encoder`. */
  readonly name: string;
  /** Weights by reference; they are read by the engine, not by JavaScript. */
  readonly params: Described<Params>;
  /** Shape of every input. */
  readonly inputs: InputSpecs<Inputs>;
  /**
   * Everything that `compute` depends on besides its arguments, as a JSON value: the configuration that it closes over and the
   * version of its package. An engine may keep what it prepared under it; without it, nothing is kept.
   */
  readonly identity?: unknown;
  /**
   * Whether the weights may be quantised, and for what: `many` rows go through each matrix in one call (an image's
   * tokens), or `few` (a token for each beam). @default 'never'
   */
  readonly quantize?: 'never' | 'many-rows' | 'few-rows';
  /**
   * Typical inputs of one call, by which an engine may measure how precise each product has to be when it quantises weights. They are the same each
   * time: an engine that keeps what it prepared tells by them whether it still holds. @default none: the engine does what is safe for any inputs
   */
  readonly samples?: () => Promise<EngineInputs<Inputs>>;
}

/**
 * One axis of an input: an exact size, a name for any size, or sums and products of them: `'past + tokens'`,
 * `'14 * rows'`. The same name means the same size everywhere.
 */
export type AxisSpec = number | string;

/** Shape and type of an input tensor. */
export interface TensorSpec {
  readonly shape: readonly AxisSpec[];
  /** @default 'float32' */
  readonly dtype?: 'float32' | 'int32' | 'bool';
}

/** A tree of inputs with specs at its leaves. */
export type InputSpecs<Tree> = Tree extends Tensor
  ? TensorSpec
  : Tree extends object
    ? { readonly [Key in keyof Tree]: InputSpecs<Tree[Key]> }
    : Tree;

/** Numbers in JavaScript's memory with a shape. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array;
}

/** A result that stays where the engine computed it until somebody asks: it can be the input of the next call as it is. */
export interface EngineTensor {
  readonly shape: readonly number[];
  readonly dtype: 'float32' | 'int32' | 'bool';
  /** The values, row-major; valid until `dispose`. */
  data(): Promise<Float32Array | Int32Array | Uint8Array>;
  /** A copy as a tensor of the current tfjs backend, the caller's. */
  toTensor<R extends Rank = Rank>(): Promise<Tensor<R>>;
  dispose(): void;
}

/** What a prepared function takes where its function takes a tensor. */
export type EngineInputs<Tree> = Tree extends Tensor
  ? Tensor | HostTensor | EngineTensor
  : Tree extends object
    ? { readonly [Key in keyof Tree]: EngineInputs<Tree[Key]> }
    : Tree;

/** What it gives where its function gives a tensor. */
export type EngineOutputs<Tree> = Tree extends Tensor
  ? EngineTensor
  : Tree extends object
    ? { readonly [Key in keyof Tree]: EngineOutputs<Tree[Key]> }
    : Tree;

/** A function that an {@link Engine} prepared. */
export interface PreparedFunction<Inputs, Outputs> {
  /**
   * @param inputs - Kept; the caller's.
   * @returns the outputs, the caller's to dispose.
   * @throws {ShapeError} when inputs differ from what was prepared. @throws {DisposedError} after `dispose()`.
   */
  run(inputs: EngineInputs<Inputs>, options?: Pick<RunOptions, 'abortSignal'>): Promise<EngineOutputs<Outputs>>;
  dispose(): void;
}

/** Where a stage runs. */
export interface EngineOptions {
  /** Executes whole functions. @default none: tfjs operations as they come, on the current backend, block by block */
  readonly engine?: Engine;
}
