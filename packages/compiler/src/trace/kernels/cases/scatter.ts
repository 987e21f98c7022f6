import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { KernelCase, KernelCases } from './kernel-case.ts';
import { between, bools, floats, ints, type Values, whole } from './case-inputs.ts';

type Updates = { indices: Tensor; updates: Tensor };
type Counted = { x: Tensor; weights: Tensor };

/** Every place once: which of several values wins is nobody's promise. */
const counting = (): Values => {
  let next = 0;
  return () => next++ % 4;
};
const scatter = (
  shape: (string | number)[],
  at: KernelCase['inputs'][string],
  updates: KernelCase['inputs'][string],
): KernelCase => ({
  title: `into [${shape.join(', ')}]`,
  inputs: { indices: at, updates },
  compute: ({ indices, updates: values }: Updates) => tf.scatterND(indices, values, shape as number[]),
});

/** Ways to call each of the kernels of `scatter`. */
export const SCATTER_CASES: KernelCases = {
  Bincount: [
    {
      inputs: { x: ints(['places'], whole(0, 6)), weights: floats(['places']) },
      compute: ({ x, weights }: Counted) => tf.bincount(x as Tensor1D, weights as Tensor1D, 5),
      smallest: 1,
    },
    {
      inputs: { x: ints(['places'], whole(0, 6)) },
      compute: ({ x }: Counted) => tf.bincount(x as Tensor1D, tf.tensor1d([], 'int32'), 5),
    },
  ],
  DenseBincount: [
    {
      inputs: { x: ints(['rows', 'places'], whole(0, 6)), weights: floats(['rows', 'places'], between(0.5, 2)) },
      compute: ({ x, weights }: Counted) => [
        tf.denseBincount(x as Tensor2D, weights as Tensor2D, 5),
        tf.denseBincount(x as Tensor2D, weights as Tensor2D, 5, true),
      ],
      smallest: 1,
    },
    {
      inputs: { x: ints(['places'], whole(0, 3)) },
      compute: ({ x }: Counted) => tf.denseBincount(x as Tensor1D, tf.tensor1d([]), 4),
      smallest: 1,
    },
  ],
  ScatterNd: [
    scatter([4, 3], ints(['rows', 1], whole(0, 3)), floats(['rows', 3])),
    scatter([3, 2], ints(['rows', 2], whole(0, 1)), ints(['rows'])),
    {
      title: 'into any size',
      inputs: { indices: ints(['rows', 1], whole(0, 'entries')), updates: floats(['rows', 'entries']) },
      compute: ({ indices, updates }: Updates) => tf.scatterND(indices, updates, [updates.shape[1]!, updates.shape[1]!]),
      smallest: 1,
    },
  ],
  SparseToDense: [
    {
      inputs: { indices: ints([4], counting()), updates: floats([4]) },
      compute: ({ indices, updates }: Updates) => [
        tf.sparseToDense(indices, updates, [5], tf.scalar(-1)),
        tf.sparseToDense(tf.reshape(indices, [4, 1]), tf.scalar(2), [4]),
      ],
    },
    {
      inputs: { indices: ints([2, 2], counting()), updates: bools([2]) },
      compute: ({ indices, updates }: Updates) => [
        tf.sparseToDense(indices, updates, [4, 4], tf.scalar(true) as unknown as Scalar),
        tf.sparseToDense(indices, tf.cast(updates, 'int32'), [4, 4], tf.scalar(7, 'int32')),
      ],
    },
  ],
  TensorScatterUpdate: [
    {
      inputs: { indices: ints([4, 1], counting()), updates: floats([4, 'columns']), tensor: floats([5, 'columns']) },
      compute: ({ tensor, indices, updates }: Updates & { tensor: Tensor }) =>
        tf.tensorScatterUpdate(tf.clone(tensor), indices, updates),
      smallest: 1,
    },
  ],
  UnsortedSegmentSum: [
    {
      inputs: { x: floats(['rows', 3]), ids: ints(['rows'], whole(-1, 3)) },
      compute: ({ x, ids }: { x: Tensor; ids: Tensor }) => tf.unsortedSegmentSum(x, ids as Tensor1D, 4),
      differentiable: ['x'],
      smallest: 1,
    },
    {
      title: 'numbers out of range',
      inputs: { x: floats(['rows', 2]), ids: ints(['rows'], whole(-2, 6)) },
      compute: ({ x, ids }: { x: Tensor; ids: Tensor }) => tf.unsortedSegmentSum(x, ids as Tensor1D, 4),
      smallest: 1,
    },
    {
      inputs: { x: ints(['rows']), ids: ints(['rows'], whole(0, 'rows')) },
      compute: ({ x, ids }: { x: Tensor; ids: Tensor }) => tf.unsortedSegmentSum(x, ids as Tensor1D, x.shape[0]!),
      smallest: 1,
    },
  ],
};
