import {
  bindAxes,
  DisposedError,
  type EngineInputs,
  type EngineOutputs,
  evaluateAxis,
  type HostTensor,
  InputError,
  type PreparedFunction,
  type RunOptions,
  untilAborted,
} from '@blip2/core';
import type { AxisExpression } from '@blip2/core';
import { Tensor } from '@tensorflow/tfjs-core';
import type { GraphInput } from './build-graph.ts';
import type { OnnxGraph } from './onnx/graph.ts';
import { writeModel } from './onnx/write-model.ts';
import type { QuantizationReport } from './quantize/report.ts';
import type { RuntimeSession, RuntimeTensor, RuntimeValue } from './runtime/runtime.ts';
import { flattenTree, isName, mapTree } from './tree.ts';

/** What a compiled function must know of its graph to be called. */
export interface FunctionSignature {
  /** In the graph's order. */
  readonly inputs: readonly GraphInput[];
  /** Axes of each output in terms of the named axes of the inputs, in the graph's order. */
  readonly outputAxes: readonly (readonly AxisExpression[])[];
  /** The result's tree, with the output's names at its leaves. */
  readonly outputs: unknown;
}

/** Options of a call. */
export interface CallOptions extends Pick<RunOptions, 'abortSignal'> {
  /**
   * Results that take the place of values in these tensors instead of new ones, by the path of the output. They may be inputs
   * of the same call where the graph allows it; see `compileTrainingStep`.
   */
  readonly into?: ReadonlyMap<string, RuntimeTensor>;
}

/** What a function asks of its maker. */
export interface FunctionHooks {
  /** Called once, when the function is disposed. */
  readonly onDispose?: () => void;
  /** The graph with the values of all constants and weights in it. */
  readonly exportGraph: () => Promise<OnnxGraph>;
  readonly report?: QuantizationReport;
}

/** A function that was traced once and runs on ONNX Runtime. */
export class CompiledFunction<Inputs, Outputs> implements PreparedFunction<Inputs, Outputs> {
  /** For messages. */
  readonly name: string;
  /** How its products are quantised, and with what error. Absent where all are in float32. */
  readonly report: QuantizationReport | undefined;
  readonly #signature: FunctionSignature;
  readonly #session: RuntimeSession;
  readonly #outputs: readonly { readonly path: string; readonly name: string }[];
  readonly #hooks: FunctionHooks;
  #disposed = false;

  /** @param session - The function's from now on. */
  constructor(name: string, signature: FunctionSignature, session: RuntimeSession, hooks: FunctionHooks) {
    this.name = name;
    this.report = hooks.report;
    this.#signature = signature;
    this.#session = session;
    this.#hooks = hooks;
    this.#outputs = flattenTree<string>(signature.outputs, isName).map(({ path, leaf }) => ({ path, name: leaf }));
  }

  /**
   * Calls it.
   *
   * @param inputs - A tree like the function's: tensors of any backend, `{ shape, data }`, or results of other compiled
   *   functions, which are passed without a copy. Kept; the caller's.
   * @returns the result's tree with values that stay in ONNX Runtime until asked for; the caller's to dispose.
   * @throws {InputError} when an input is missing or of another type. @throws {ShapeError} when sizes do not go together.
   * @throws {DisposedError} after `dispose()`.
   */
  async run(inputs: EngineInputs<Inputs>, options: CallOptions = {}): Promise<EngineOutputs<Outputs>> {
    if (this.#disposed) throw new DisposedError(this.name);
    options.abortSignal?.throwIfAborted();
    const given = new Map(flattenTree(inputs).map(({ path, leaf }) => [path, leaf as Tensor | RuntimeValue]));
    const leaves = this.#signature.inputs.map((input) => this.#take(given, input));
    this.#refuseRest(given);
    const shaped = this.#signature.inputs.map(({ name, axes }, index) => ({ name, axes, shape: leaves[index]!.shape }));
    const sizes = bindAxes(shaped, this.name);
    const requests = this.#outputs.map(({ path, name }, index) => ({
      name,
      shape: this.#signature.outputAxes[index]!.map((axis) => evaluateAxis(axis, sizes)),
      into: options.into?.get(path),
    }));
    const borrowed: RuntimeTensor[] = [];
    let running: Promise<RuntimeTensor[]>;
    try {
      const values = await Promise.all(leaves.map((leaf) => this.#toRuntimeValue(leaf, borrowed)));
      running = this.#session.run(values, requests, options);
    } finally {
      for (const tensor of borrowed) tensor.dispose(); // the run holds them from its beginning on
    }
    const results = await untilAborted(running, options.abortSignal);
    return mapTree(this.#signature.outputs, (_, index) => results[index], isName) as EngineOutputs<Outputs>;
  }

  /**
   * The function as an ONNX model file, weights included: for Python, C++, or any other runtime. Inputs and outputs are called by
   * their places in the trees, `past.0.key`.
   *
   * @returns the file's bytes, the caller's.
   * @throws {ResourceError} when the file would be larger than 2 GiB, which ONNX does not allow; `OnnxExporter` of
   *   `@blip2/compiler/node` writes weights into a file of their own.
   */
  async toOnnx(): Promise<Uint8Array<ArrayBuffer>> {
    return writeModel(await this.#hooks.exportGraph());
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    void this.#session.dispose();
    this.#hooks.onDispose?.();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #take(given: Map<string, Tensor | RuntimeValue>, { name, axes, dtype }: GraphInput): Tensor | RuntimeValue {
    const value = given.get(name);
    if (value === undefined) {
      const known = [...given.keys()].slice(0, 5).join(', ') || 'none';
      throw new InputError(
        `${this.name}: the input ${name} [${axes.join(', ')}] is missing; got ${known}. Pass a tree like the one that was compiled.`,
      );
    }
    given.delete(name);
    const type = dtypeOf(value);
    if (type === dtype) return value;
    throw new InputError(`${this.name}: ${name} is ${type}, expected ${dtype}. Convert it with tf.cast.`);
  }

  /**
   * Tensors of tfjs on the same GPU go as they are, others come as values; what ONNX Runtime made goes back as it is.
   * @param borrowed - Takes what is to be disposed once the run has it.
   */
  async #toRuntimeValue(value: Tensor | RuntimeValue, borrowed: RuntimeTensor[]): Promise<RuntimeValue> {
    if (!(value instanceof Tensor)) return value;
    const tensor = this.#session.borrow(value);
    if (tensor === undefined) return { shape: value.shape, data: (await value.data()) as HostTensor['data'] };
    borrowed.push(tensor);
    return tensor;
  }

  #refuseRest(given: ReadonlyMap<string, unknown>): void {
    if (given.size === 0) return;
    const names = this.#signature.inputs.map(({ name }) => name).join(', ');
    throw new InputError(`${this.name}: ${[...given.keys()].slice(0, 5).join(', ')} is not an input. The inputs are ${names}.`);
  }
}

function dtypeOf(value: Tensor | RuntimeValue): string {
  if ('dtype' in value) return value.dtype;
  const { data } = value as HostTensor;
  if (data instanceof Float32Array) return 'float32';
  return data instanceof Int32Array ? 'int32' : 'bool';
}
