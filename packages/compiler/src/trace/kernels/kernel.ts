import type { DataType, TensorInfo } from '@tensorflow/tfjs-core';
import type { GraphBuilder } from '../graph-builder.ts';
import type { TraceBackend } from '../trace-backend.ts';

/** One call of a kernel while tracing. */
export interface KernelCall<Attributes = Record<string, unknown>> {
  readonly inputs: Readonly<Record<string, TensorInfo>>;
  readonly attributes: Attributes;
  readonly backend: TraceBackend;
  readonly builder: GraphBuilder;
}

/** Adds the nodes of one tfjs kernel to the graph and returns what tfjs expects of it. */
// A kernel reads the attributes that tfjs documents for it; which they are is known only to the kernel itself.
export type TraceKernel = (call: KernelCall<never>) => TensorInfo | TensorInfo[];

/** Kernels by their tfjs names. */
export type TraceKernels = Readonly<Record<string, TraceKernel>>;

/** Gives a kernel's attributes their type. */
export function kernel<Attributes = Record<string, unknown>>(trace: (call: KernelCall<Attributes>) => TensorInfo | TensorInfo[]): TraceKernel {
  return trace as TraceKernel;
}

/** Shape of two tensors broadcast together; numpy's rules, which ONNX shares. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    return left === 1 ? right : left;
  });
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

/** A tensor in another type, as it is when it has that type already. */
export function cast({ backend }: Pick<KernelCall, 'backend'>, tensor: TensorInfo, dtype: DataType, code: number): TensorInfo {
  if (tensor.dtype === dtype) return tensor;
  return backend.emit('Cast', [tensor], { shape: tensor.shape, dtype }, { attributes: { to: code } });
}
