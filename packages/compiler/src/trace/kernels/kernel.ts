import { UnsupportedBackendError } from '@blip2/core';
import type { DataType, TensorInfo } from '@tensorflow/tfjs-core';
import { callerOf } from '../caller.ts';
import type { GraphBuilder } from '../graph-builder.ts';
import { onnxType, type TraceBackend, tracedType, type TracedType, typeCode } from '../trace-backend.ts';

/** One call of a kernel while tracing. */
export interface KernelCall<Attributes = Record<string, unknown>> {
  readonly kernelName: string;
  readonly inputs: Readonly<Record<string, TensorInfo>>;
  readonly attributes: Attributes;
  readonly backend: TraceBackend;
  readonly builder: GraphBuilder;
}

/** What adds nodes: a call of any kernel. */
export type Graph = Pick<KernelCall, 'backend' | 'builder'>;

/** Adds the nodes of one tfjs kernel to the graph and returns what tfjs expects of it. */
// A kernel reads the attributes that tfjs documents for it; which they are is known only to the kernel itself.
export type TraceKernel = (call: KernelCall<never>) => TensorInfo | TensorInfo[];

/** Kernels by their tfjs names. */
export type TraceKernels = Readonly<Record<string, TraceKernel>>;

/** Gives a kernel's attributes their type. */
export function kernel<Attributes = Record<string, unknown>>(
  trace: (call: KernelCall<Attributes>) => TensorInfo | TensorInfo[],
): TraceKernel {
  return trace as TraceKernel;
}

/** Shape of tensors broadcast together; numpy's rules, which ONNX shares. */
export function broadcastShape(...shapes: readonly (readonly number[])[]): number[] {
  return shapes.reduce<number[]>((a, b) => {
    const rank = Math.max(a.length, b.length);
    return Array.from({ length: rank }, (_, axis) => {
      const left = a[axis - rank + a.length] ?? 1;
      const right = b[axis - rank + b.length] ?? 1;
      return left === 1 ? right : left;
    });
  }, []);
}

/** Axes counted from the front. */
export function axesOf(axes: number | readonly number[] | undefined | null, rank: number): number[] {
  if (axes === undefined || axes === null) return Array.from({ length: rank }, (_, axis) => axis);
  return (typeof axes === 'number' ? [axes] : [...axes]).map((axis) => (axis < 0 ? axis + rank : axis));
}

/** Shape after a reduction. */
export function reducedShape(shape: readonly number[], axes: readonly number[], keepDims: boolean): number[] {
  const gone = new Set(axes);
  return shape.flatMap((size, axis) => (gone.has(axis) ? (keepDims ? [1] : []) : [size]));
}

/** A tensor in another type; the same one when it has that type. */
export function cast({ backend }: Pick<Graph, 'backend'>, tensor: TensorInfo, dtype: DataType): TensorInfo {
  if (tensor.dtype === dtype) return tensor;
  return backend.emit('Cast', [tensor], { shape: tensor.shape, dtype }, { attributes: { to: typeCode(dtype) } });
}

/** `allowzero`: a 0 in a shape is an axis without elements, not "as before". Empty caches need it. */
const WITH_EMPTY_AXES = { attributes: { allowzero: 1 } } as const;

/** The same elements in another shape. */
export function reshape({ backend, builder }: Graph, x: TensorInfo, shape: readonly number[]): TensorInfo {
  return backend.emit('Reshape', [x, builder.sizes(shape)], { shape, dtype: x.dtype }, WITH_EMPTY_AXES);
}

/** Axes in another order; the tensor itself when the order is the same. */
export function transpose({ backend }: Pick<Graph, 'backend'>, x: TensorInfo, perm: readonly number[]): TensorInfo {
  if (perm.every((from, axis) => from === axis)) return x;
  return backend.emit('Transpose', [x], { shape: perm.map((axis) => x.shape[axis]!), dtype: x.dtype }, { attributes: { perm } });
}

/** An ONNX index is int64 where only an int32 one would do in tfjs. */
export function int64({ backend, builder }: Graph, tensor: TensorInfo): string {
  return builder.operation('Cast', [backend.nameOf(tensor)], { attributes: { to: INT64 } });
}

const INT64 = 7;

/** A scalar constant. */
export function scalar({ builder }: Pick<Graph, 'builder'>, value: number, dtype: DataType): string {
  const values = dtype === 'float32' ? Float32Array.of(value) : dtype === 'int32' ? Int32Array.of(value) : Uint8Array.of(value);
  return builder.constant(values, [], onnxType(dtype));
}

/** One value in every place of a shape that may have any size. */
export function filled(graph: Graph, shape: readonly number[], dtype: DataType, value: number): TensorInfo {
  return graph.backend.emit('Expand', [scalar(graph, value, dtype), graph.builder.sizes(shape)], { shape, dtype });
}

/** The whole numbers from 0 to `count` less one, int64. */
export function positions({ builder }: Pick<Graph, 'builder'>, count: number): string {
  return builder.operation('Range', [builder.size(0), builder.size(count), builder.size(1)]);
}

/** What {@link elementwise} does with types. */
export interface ElementwiseTypes {
  /** Whether ONNX has the operation for whole numbers; if not, they become float32 on the way. @default false */
  readonly whole?: boolean;
  /** What `build` gives. @default the type that it works in */
  readonly gives?: TracedType;
  /** What the kernel gives. @default the type of its first operand, or `gives` */
  readonly result?: TracedType;
}

/** Attributes of a kernel, and its constants in the type of the operands. */
export interface ElementwiseCall<Attributes> extends KernelCall<Attributes> {
  readonly number: (value: number) => string;
}

/**
 * A kernel that takes every element for itself, broadcasting its operands. tfjs lets whole numbers and truth values into any
 * arithmetic; ONNX does not, so they are converted before and after. Truth values are 0 and 1 before, and after it
 * whatever is not 0 is true.
 *
 * @param operands - Names of the kernel's inputs.
 * @param build - From names in the graph to the name of the result.
 */
export function elementwise<Attributes = Record<string, unknown>>(
  operands: readonly string[],
  build: (names: readonly string[], call: ElementwiseCall<Attributes>) => string,
  { whole = false, gives, result }: ElementwiseTypes = {},
): TraceKernel {
  return kernel<Attributes>((call) => {
    const tensors = operands.map((operand) => call.inputs[operand]!);
    const dtype = tracedType(tensors[0]!.dtype);
    const works: TracedType = whole && tensors.every((tensor) => tensor.dtype !== 'float32') ? 'int32' : 'float32';
    const names = tensors.map((tensor) => call.backend.nameOf(cast(call, tensor, works)));
    const name = build(names, { ...call, number: (value) => scalar(call, value, works) });
    const shape = broadcastShape(...tensors.map((tensor) => tensor.shape));
    return cast(call, call.backend.tensor(name, { shape, dtype: gives ?? works }), result ?? gives ?? dtype);
  });
}

/** @throws {UnsupportedBackendError} for a form of a kernel that has no ONNX form. */
export function unsupported(kernelName: string, what: string, instead: string): UnsupportedBackendError {
  return new UnsupportedBackendError(
    `compile: ${callerOf(new Error())} uses the tfjs kernel '${kernelName}' with ${what}, which cannot be compiled. ${instead}`,
  );
}
