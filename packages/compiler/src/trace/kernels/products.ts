import { ShapeError, sizeOf } from '@blip2/core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { callerOf } from '../caller.ts';
import { activate, type ActivationAttributes } from './activations.ts';
import { broadcastShape, kernel, type KernelCall, reshape, type TraceKernels, transpose } from './kernel.ts';

interface MatMulAttributes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** Whether a tensor is one matrix, with axes of one element before it or none. */
function isMatrix({ shape }: TensorInfo): boolean {
  return shape.slice(0, -2).every((size) => size === 1);
}

/** Swaps the last two axes. */
function swapped(call: KernelCall<unknown>, x: TensorInfo): TensorInfo {
  const axes = [...x.shape.keys()];
  return transpose(call, x, [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!]);
}

/**
 * The product of matrices or of batches of them, and a bias if it has the width of the result.
 *
 * One matrix becomes a Gemm, with its transpositions: one node, which takes a bias, and in which a quantised weight is found.
 * It is no faster than Transpose and MatMul, of which ONNX Runtime makes its own FusedMatMul. Measured with ONNX Runtime 1.30, 2 cores
 * of x86-64, best of 15: x·Wᵀ at 257×1408×6144 36.0 ms against 36.2 ms, at 2056 rows 208 ms against 204 ms; dyᵀ·x 59 ms against 55 ms
 * and 250 ms against 249 ms; dy·W 43.1 ms against 42.1 ms and 210 ms against 216 ms.
 */
function product(call: KernelCall<MatMulAttributes>, a: TensorInfo, b: TensorInfo, bias?: TensorInfo): TensorInfo {
  const { backend, attributes } = call;
  const { transposeA, transposeB } = attributes;
  assertInner(a, b, attributes);
  const [rows, columns] = [a.shape.at(transposeA ? -1 : -2)!, b.shape.at(transposeB ? -2 : -1)!];
  const shape = [...broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2)), rows, columns];
  const dtype = a.dtype;
  // Rows of a batch are rows of one matrix, if they all meet the same one.
  if (dtype === 'float32' && isMatrix(b) && (isMatrix(a) || !transposeA)) {
    const left = a.shape.length === 2 ? a : reshape(call, a, [sizeOf(a.shape.slice(0, -1)), a.shape.at(-1)!]);
    const right = b.shape.length === 2 ? b : reshape(call, b, b.shape.slice(-2));
    const flat = [transposeA ? rows : left.shape[0]!, columns];
    const settings = { attributes: { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0 } };
    const result = backend.emit(
      'Gemm',
      bias === undefined ? [left, right] : [left, right, bias],
      { shape: flat, dtype },
      settings,
    );
    return shape.length === 2 ? result : reshape(call, result, shape);
  }
  // ONNX Runtime makes one FusedMatMul of both. It must not meet an empty inner axis, where it leaves its result unwritten.
  const factors = [transposeA ? swapped(call, a) : a, transposeB ? swapped(call, b) : b];
  const sizes = { inner: factors[0]!.shape.at(-1)!, ranks: [a.shape.length, b.shape.length] as const };
  const result = backend.emit('MatMul', factors, { shape, dtype }, { product: sizes });
  return bias === undefined ? result : backend.emit('Add', [result, bias], { shape, dtype });
}

/** @throws {ShapeError} when the inner axes differ, which tfjs leaves to the backend. */
function assertInner(a: TensorInfo, b: TensorInfo, { transposeA, transposeB }: MatMulAttributes): void {
  const [left, right] = [a.shape.at(transposeA ? -2 : -1), b.shape.at(transposeB ? -1 : -2)];
  if (left === right) return;
  const text = ({ shape }: TensorInfo, isTransposed: boolean): string =>
    `[${shape.join(', ')}]${isTransposed ? ' transposed' : ''}`;
  throw new ShapeError(
    `compile: ${callerOf(new Error())} multiplies ${text(a, transposeA)} by ${text(b, transposeB)}, whose inner axes are ${left} and ${right}, ` +
      `expected equal ones. Transpose one of them or correct its shape.`,
    a.shape,
    b.shape,
  );
}

/** The shape that an equation such as `bij,bjk->bik` gives. tfjs has checked it: no ellipsis, and a result. */
function einsumShape(equation: string, factors: readonly TensorInfo[]): number[] {
  const [terms, result] = equation.replaceAll(' ', '').split('->') as [string, string];
  const sizes = new Map(
    terms.split(',').flatMap((term, index) => [...term].map((label, axis) => [label, factors[index]!.shape[axis]!] as const)),
  );
  return [...result].map((label) => sizes.get(label)!);
}

/** Kernels that multiply matrices. */
export const PRODUCT_KERNELS: TraceKernels = {
  BatchMatMul: kernel<MatMulAttributes>((call) => product(call, call.inputs['a']!, call.inputs['b']!)),
  Einsum: kernel<{ equation: string }>(({ inputs, attributes, backend }) => {
    const factors = Object.values(inputs);
    const { equation } = attributes;
    return backend.emit(
      'Einsum',
      factors,
      { shape: einsumShape(equation, factors), dtype: factors[0]!.dtype },
      { attributes: { equation } },
    );
  }),
  _FusedMatMul: kernel<MatMulAttributes & ActivationAttributes>((call) => {
    const { a, b, bias } = call.inputs as { a: TensorInfo; b: TensorInfo; bias?: TensorInfo };
    const isRow = bias?.shape.length === 1 && bias.shape[0] === b.shape.at(call.attributes.transposeB ? -2 : -1);
    const multiplied = product(call, a, b, isRow ? bias : undefined);
    const biased = bias === undefined || isRow ? multiplied : call.backend.emit('Add', [multiplied, bias], multiplied);
    return activate(call, biased, call.inputs['preluActivationWeights']);
  }),
};
