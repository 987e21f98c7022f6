import type { TensorInfo } from '@tensorflow/tfjs-core';
import { broadcastShape, kernel, type KernelCall, type TraceKernels } from './kernel.ts';

interface MatMulAttributes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** Swaps the last two axes. */
function transposed({ backend }: Pick<KernelCall, 'backend'>, x: TensorInfo): TensorInfo {
  const rank = x.shape.length;
  const perm = x.shape.map((_, axis) => (axis === rank - 1 ? rank - 2 : axis === rank - 2 ? rank - 1 : axis));
  return backend.emit('Transpose', [x], { shape: perm.map((axis) => x.shape[axis]!), dtype: x.dtype }, { attributes: { perm } });
}

/**
 * Products of matrices and of batches of them. ONNX Runtime takes a transposition next to a product into the
 * product itself.
 */
const matMul = kernel<MatMulAttributes>((call) => {
  const { a, b } = call.inputs as { a: TensorInfo; b: TensorInfo };
  const { transposeA, transposeB } = call.attributes;
  const { backend } = call;
  const rows = a.shape.at(transposeA ? -1 : -2)!;
  const columns = b.shape.at(transposeB ? -2 : -1)!;
  const shape = [...broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2)), rows, columns];
  const left = transposeA ? transposed(call, a) : a;
  const right = transposeB ? transposed(call, b) : b;
  return backend.emit('MatMul', [left, right], { shape, dtype: a.dtype });
});

/** Kernels that multiply matrices. */
export const PRODUCT_KERNELS: TraceKernels = { BatchMatMul: matMul };
