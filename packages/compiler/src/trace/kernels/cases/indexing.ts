import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D } from '@tensorflow/tfjs-core';
import type { KernelCase, KernelCases } from './kernel-case.ts';
import { bools, floats, type InputSpec, ints, whole } from './case-inputs.ts';

type Picks = { x: Tensor; indices: Tensor };

/** Values to pick from: at least one of each axis, so that every index exists. */
const pick = (
  x: InputSpec,
  indices: InputSpec,
  take: (x: Tensor, indices: Tensor) => unknown,
  more: Partial<KernelCase> = {},
): KernelCase => ({
  inputs: { x, indices },
  compute: ({ x: from, indices: at }: Picks) => take(from, at),
  smallest: 1,
  ...more,
});
const gather =
  (axis: number, batchDims = 0) =>
  (x: Tensor, indices: Tensor): Tensor =>
    tf.gather(x, indices as Tensor1D, axis, batchDims);
const differentiable = ['x'];

/** Ways to call each of the kernels of `indexing`. */
export const INDEXING_CASES: KernelCases = {
  GatherV2: [
    pick(floats(['rows', 'columns', 2]), ints(['picked'], whole(0, 'rows')), gather(0), { differentiable }),
    pick(floats(['rows', 'columns', 2]), ints(['picked', 2], whole(0, 'columns')), gather(-2), { differentiable }),
    pick(floats(['rows', 'columns']), ints([], whole(0, 'columns')), gather(1)),
    pick(ints(['rows', 3]), ints(['picked'], whole(0, 2)), gather(1)),
    pick(bools(['rows']), ints(['picked'], whole(0, 'rows')), gather(0)),
    pick(floats([4, 3]), ints(['none'], whole(0, 3)), gather(0), { smallest: 0 }),
    pick(floats(['rows', 'columns']), ints(['rows', 1], whole(0, 'columns')), gather(1, 1), { title: 'by row' }),
    pick(floats(['rows', 3, 'columns', 2]), ints(['rows', 'picked'], whole(0, 'columns')), gather(2, 1), { title: 'by batch' }),
    pick(ints(['rows', 2, 'columns']), ints(['rows', 2, 3, 2], whole(0, 'columns')), gather(2, 2), { title: 'by two batches' }),
  ],
  GatherNd: [
    pick(floats(['rows', 'columns', 2]), ints(['picked', 1], whole(0, 'rows')), (x, at) => tf.gatherND(x, at)),
    pick(ints([3, 3, 'columns']), ints(['picked', 4, 2], whole(0, 2)), (x, at) => tf.gatherND(x, at)),
    pick(bools([2, 2]), ints([2], whole(0, 1)), (x, at) => tf.gatherND(x, at)),
  ],
  OneHot: [
    {
      title: 'gradients',
      inputs: { x: floats(['rows']) },
      compute: ({ x }: Picks) => tf.mul(tf.oneHot(tf.cast(x, 'int32'), 3, 1, 0, 'float32'), tf.expandDims(x, 1)),
      differentiable,
      smallest: 1,
    },
    {
      inputs: { indices: ints(['rows', 'columns'], whole(-2, 5)) },
      compute: ({ indices }: Picks) => [
        tf.oneHot(indices, 4),
        tf.oneHot(indices, 4, 2, -1, 'float32'),
        tf.oneHot(indices, 3, 1, 0, 'bool'),
      ],
    },
    { inputs: { indices: ints([], whole(0, 2)) }, compute: ({ indices }: Picks) => tf.oneHot(indices, 3) },
    pick(floats(['rows']), ints(['picked'], whole(-1, 'rows')), (x, at) => tf.oneHot(at, x.shape[0]!), {
      title: 'depth of any size',
      smallest: 2,
    }),
  ],
  SearchSorted: [
    pick(floats(['rows', 'columns'], whole(1, 1)), ints(['rows', 'picked'], whole(0, 4)), (x, at) => {
      const sorted = tf.cumsum(x, 1);
      return [tf.lowerBound(sorted, tf.cast(at, 'float32')), tf.upperBound(sorted, tf.cast(at, 'float32'))];
    }),
    pick(ints([5], whole(1, 1)), ints(['picked'], whole(0, 7)), (x, at) => tf.searchSorted(tf.cumsum(x), at, 'right')),
  ],
};
