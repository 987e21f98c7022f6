import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import type { KernelCase, KernelCases } from './kernel-case.ts';
import { floats, ints } from './case-inputs.ts';

type Pair = { a: Tensor; b: Tensor };
type Axes = readonly (string | number)[];

const both = ['a', 'b'];

/** One product with each operand as it is and transposed. */
function transposed(batchA: Axes, batchB: Axes, more: Partial<KernelCase> = {}): KernelCase[] {
  return [false, true].flatMap((transposeA) =>
    [false, true].map((transposeB) => ({
      title: `${transposeA ? 'transposed ' : ''}by${transposeB ? ' transposed' : ''}`,
      inputs: {
        a: floats([...batchA, ...(transposeA ? ['inner', 'rows'] : ['rows', 'inner'])]),
        b: floats([...batchB, ...(transposeB ? ['columns', 'inner'] : ['inner', 'columns'])]),
      },
      compute: ({ a, b }: Pair) => tf.matMul(a, b, transposeA, transposeB),
      ...more,
    })),
  );
}

type Fused = { a: Tensor; b: Tensor; bias?: Tensor; alpha?: Tensor };
const fused =
  (activation: 'relu' | 'elu' | 'relu6' | 'prelu' | 'leakyrelu' | 'sigmoid' | 'linear') =>
  ({ a, b, bias, alpha }: Fused): Tensor =>
    tf.fused.matMul({ a: a as Tensor2D, b: b as Tensor2D, bias, activation, preluActivationWeights: alpha, leakyreluAlpha: 0.3 });

const matrix = { a: floats(['rows', 3]), b: floats([3, 'columns']), bias: floats(['columns']) };

/** Ways to call each of the kernels of `products`. */
export const PRODUCTS_CASES: KernelCases = {
  BatchMatMul: [
    ...transposed([], [], { differentiable: both }),
    ...transposed([1], [1], { differentiable: both }),
    // ONNX Runtime's FusedMatMul, which it makes of Transpose and MatMul, leaves its result as it was where the inner axis is empty.
    ...transposed(['batch', 2], ['batch', 2], { differentiable: both, smallest: 1 }),
    ...transposed(['batch'], [1], { smallest: 1 }),
    ...transposed(['batch'], [], { smallest: 1 }),
    ...transposed([], ['batch'], { smallest: 1 }),
    {
      title: 'of no batches',
      inputs: { a: floats(['batch', 'rows', 3]), b: floats(['batch', 3, 'columns']) },
      compute: ({ a, b }: Pair) => tf.matMul(a, b),
      differentiable: both,
      smallestForGradients: 1,
    },
    {
      // tfjs has no values for batches that both broadcast, so they are spread for it here, and not there.
      title: 'of batches that both broadcast',
      inputs: { a: floats(['batch', 1, 'rows', 2]), b: floats(['heads', 2, 'columns']) },
      compute: ({ a, b }: Pair) => {
        const [batch, , rows] = a.shape as [number, number, number];
        const [heads, , columns] = b.shape as [number, number, number];
        if (tf.getBackend() !== 'cpu') return tf.matMul(a, b);
        return tf.matMul(
          tf.broadcastTo(a, [batch, heads, rows, 2]),
          tf.broadcastTo(tf.expandDims(b), [batch, heads, 2, columns]),
        );
      },
      smallest: 1,
    },
    { inputs: { a: ints(['rows', 3]), b: ints([3, 'columns']) }, compute: ({ a, b }: Pair) => tf.matMul(a, b) },
    { inputs: { a: floats([3]), b: floats([3]) }, compute: ({ a, b }: Pair) => tf.dot(a, b), title: 'of vectors' },
  ],
  Einsum: [
    {
      inputs: { a: floats(['batch', 'rows', 3]), b: floats(['batch', 3, 'columns']) },
      compute: ({ a, b }: Pair) => tf.einsum('bij,bjk->bik', a, b),
      smallest: 1,
    },
    {
      inputs: { a: floats(['batch', 2, 'rows', 3]), b: floats(['batch', 'columns', 2, 3]) },
      compute: ({ a, b }: Pair) => tf.einsum('bhqd, bkhd -> bhqk', a, b),
      smallest: 1,
    },
    {
      inputs: { a: floats(['rows', 'columns']) },
      compute: ({ a }: Pair) => [tf.einsum('ij->ji', a), tf.einsum('ij->i', a)],
      smallest: 1,
    },
  ],
  _FusedMatMul: [
    { inputs: matrix, compute: fused('relu'), differentiable: ['a', 'b', 'bias'] },
    { inputs: matrix, compute: fused('elu'), title: 'elu' },
    { inputs: matrix, compute: fused('relu6'), title: 'relu6' },
    { inputs: matrix, compute: fused('leakyrelu'), title: 'leaky relu' },
    { inputs: matrix, compute: fused('sigmoid'), title: 'sigmoid' },
    { inputs: { ...matrix, alpha: floats(['columns']) }, compute: fused('prelu'), title: 'prelu' },
    {
      inputs: { a: floats(['batch', 'rows', 3]), b: floats(['batch', 3, 2]), bias: floats([2]) },
      compute: fused('linear'),
      smallest: 1,
    },
    { inputs: { a: floats(['rows', 3]), b: floats([3, 2]), bias: floats(['rows', 2]) }, compute: fused('linear') },
    {
      inputs: { a: floats([3, 'rows']), b: floats(['columns', 3]) },
      compute: ({ a, b }: Pair) => tf.fused.matMul({ a: a as Tensor2D, b: b as Tensor2D, transposeA: true, transposeB: true }),
    },
  ],
};
