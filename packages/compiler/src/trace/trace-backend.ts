import { InputError, sizeOf, UnsupportedBackendError } from '@blip2/core';
import type { DataType, TensorInfo } from '@tensorflow/tfjs-core';
import * as tf from '@tensorflow/tfjs-core';
import type { OnnxType } from '../onnx/graph.ts';
import { callerOf } from './caller.ts';
import { GraphBuilder, type GraphWeight, type OperationSettings } from './graph-builder.ts';

/** The name under which the tracing backend is registered. */
export const TRACE_BACKEND = 'onnx-trace';

/** Types of tensors that a graph can have. */
export type TracedType = 'float32' | 'int32' | 'bool';

/** What stands behind a traced tensor. */
interface TracedValue {
  readonly shape: readonly number[];
  readonly type: TracedType;
  /** Values that are known while tracing: constants that the function made. */
  readonly values?: Float32Array | Int32Array | Uint8Array;
  /** A stored weight, before any cast to the tensor's type. */
  readonly weight?: GraphWeight;
  /** Its name in the graph; constants and weights get one when they are first used. */
  name?: string;
}

/** Operations that a kernel adds to the graph, with the shape and type that tfjs expects of the result. */
export interface Result {
  readonly shape: readonly number[];
  readonly dtype: DataType;
}

/**
 * A tfjs backend whose kernels do not compute: each adds nodes to a graph and returns a tensor that has a shape, a type
 * and a name, but no values.
 */
export class TraceBackend extends tf.KernelBackend {
  #builder: GraphBuilder | undefined;
  #values: WeakMap<object, TracedValue> = new WeakMap();

  /** Starts a graph. Tensors of an earlier one are strangers to it. */
  begin(): GraphBuilder {
    this.#values = new WeakMap();
    return (this.#builder = new GraphBuilder());
  }

  end(): void {
    this.#builder = undefined;
    this.#values = new WeakMap();
  }

  /** The graph under construction. @throws {UnsupportedBackendError} outside of a trace. */
  get builder(): GraphBuilder {
    if (this.#builder !== undefined) return this.#builder;
    throw new UnsupportedBackendError(
      `The backend '${TRACE_BACKEND}' records operations while a function is compiled and computes nothing. Choose another with tf.setBackend().`,
    );
  }

  /** The graph name of a tensor, in the tensor's own type. */
  nameOf(tensor: TensorInfo): string {
    const value = this.#valueOf(tensor);
    if (value.name === undefined) {
      if (value.weight !== undefined) {
        const { name, type } = value.weight;
        value.name =
          type === value.type ? name : this.builder.operation('Cast', [name], { attributes: { to: TYPE_CODES[value.type] } });
      } else value.name = this.builder.constant(value.values!, value.shape, value.type);
    }
    return value.name;
  }

  /** The stored weight behind a tensor, if it is one and nothing has changed it. */
  weightOf(tensor: TensorInfo): GraphWeight | undefined {
    return this.#valueOf(tensor).weight;
  }

  /** Values of a constant that the function made; `undefined` for what is known only at run time. */
  constantOf(tensor: TensorInfo): Float32Array | Int32Array | Uint8Array | undefined {
    return this.#valueOf(tensor).values;
  }

  /** A tensor for a value of the graph. */
  tensor(name: string, { shape, dtype }: Result): TensorInfo {
    return this.#register({ shape, type: tracedType(dtype), name });
  }

  /** The same value under another shape or none: the name is given by nodes that were added before. */
  weightTensor(weight: GraphWeight): TensorInfo {
    const type: TracedType = weight.type === 'int32' ? 'int32' : 'float32';
    return this.#register({ shape: weight.weight.shape, type, weight });
  }

  /** Adds one operation on tensors. */
  emit(operator: string, inputs: readonly (TensorInfo | string)[], result: Result, settings: OperationSettings = {}): TensorInfo {
    const names = inputs.map((input) => (typeof input === 'string' ? input : this.nameOf(input)));
    return this.tensor(this.builder.operation(operator, names, settings), result);
  }

  /** Another tensor for the same value. */
  alias(tensor: TensorInfo): TensorInfo {
    return this.#register({ ...this.#valueOf(tensor) });
  }

  #register(value: TracedValue): TensorInfo {
    const dataId = {};
    this.#values.set(dataId, value);
    return { dataId, shape: value.shape.slice(), dtype: value.type };
  }

  #valueOf({ dataId, shape, dtype }: TensorInfo): TracedValue {
    const known = this.#values.get(dataId);
    if (known !== undefined) return known;
    // A tensor from before the trace, on any backend: its values become a constant of the graph.
    const value: TracedValue = { shape, type: tracedType(dtype), values: toValues(tf.engine().readSync(dataId), dtype) };
    this.#values.set(dataId, value);
    return value;
  }

  // ------------------------------------------------------------------------- what tfjs asks of a backend

  override write(values: tf.backend_util.BackendValues, shape: number[], dtype: DataType): object {
    return this.#register({ shape: shape.slice(), type: tracedType(dtype), values: toValues(values, dtype) }).dataId;
  }

  override move(dataId: object, values: tf.backend_util.BackendValues, shape: number[], dtype: DataType): void {
    this.#values.set(dataId, { shape: shape.slice(), type: tracedType(dtype), values: toValues(values, dtype) });
  }

  override readSync(dataId: object): Float32Array | Int32Array | Uint8Array {
    const values = this.#values.get(dataId)?.values;
    if (values !== undefined) return values;
    throw new InputError(
      `compile: ${callerOf(new Error())} reads the values of a tensor while the function is traced, when there are none yet. ` +
        `Keep the choice in tensors (tf.where), or make the value an argument that is fixed before compiling.`,
    );
  }

  override read(dataId: object): Promise<Float32Array | Int32Array | Uint8Array> {
    return Promise.resolve().then(() => this.readSync(dataId));
  }

  override disposeData(): boolean {
    return true; // names and shapes only; the weak map lets go of them
  }

  override incRef(): void {}
  decRef(): void {}

  override refCount(): number {
    return 1;
  }

  override numDataIds(): number {
    return 0;
  }

  override timerAvailable(): boolean {
    return false;
  }

  override floatPrecision(): 16 | 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7; // that of every 32-bit backend of tfjs
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }

  override dispose(): void {
    this.end();
  }
}

const TYPE_CODES: Readonly<Record<TracedType, number>> = { float32: 1, int32: 6, bool: 9 };

/** `TensorProto.DataType` of a tensor type. */
export function typeCode(dtype: DataType): number {
  return TYPE_CODES[tracedType(dtype)];
}

/** @throws {UnsupportedBackendError} for strings and complex numbers. */
export function tracedType(dtype: DataType): TracedType {
  if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool') return dtype;
  throw new UnsupportedBackendError(
    `compile: ${callerOf(new Error())} makes a tensor of type ${dtype}; a compiled function has float32, int32 and bool. Keep other types outside.`,
  );
}

function toValues(values: tf.backend_util.BackendValues, dtype: DataType): Float32Array | Int32Array | Uint8Array {
  if (dtype === 'float32') return values instanceof Float32Array ? values : Float32Array.from(values as ArrayLike<number>);
  if (dtype === 'int32') return values instanceof Int32Array ? values : Int32Array.from(values as ArrayLike<number>);
  return values instanceof Uint8Array ? values : Uint8Array.from(values as unknown as ArrayLike<number>);
}

/** The ONNX type of a tensor type. */
export function onnxType(dtype: DataType): OnnxType {
  return tracedType(dtype);
}

/** Elements of a tensor. */
export function elementsOf({ shape }: { readonly shape: readonly number[] }): number {
  return sizeOf(shape);
}
