import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import type { KernelCase, KernelCases } from './kernel-case.ts';
import { bools, floats, ints } from './case-inputs.ts';

type One = { x: Tensor };
type Pair = { a: Tensor; b: Tensor };

/** An arrangement of elements is the same for all types; its gradient is for fractions. */
function arrangements(axes: (string | number)[], arrange: (x: Tensor) => unknown, more: Partial<KernelCase> = {}): KernelCase[] {
  const compute = ({ x }: One): unknown => arrange(x);
  return [
    { inputs: { x: floats(axes) }, compute, differentiable: ['x'], ...more },
    { inputs: { x: ints(axes) }, compute, ...more },
    { inputs: { x: bools(axes) }, compute, ...more },
  ];
}

/** Ways to call each of the kernels of `shapes`. */
export const SHAPES_CASES: KernelCases = {
  BatchToSpaceND: [
    ...arrangements(
      ['4 * batch', 3, 'columns', 2],
      (x) =>
        tf.batchToSpaceND(
          x,
          [2, 2],
          [
            [1, 0],
            [0, 1],
          ],
        ),
      { smallest: 1 },
    ),
    ...arrangements(['3 * batch', 'rows'], (x) => tf.batchToSpaceND(x, [3], [[0, 0]]), { smallest: 1 }),
  ],
  Concat: [
    {
      inputs: { a: floats(['rows', 2]), b: floats(['rows', 'columns']) },
      compute: ({ a, b }: Pair) => tf.concat([a, b, a], -1),
      differentiable: ['a', 'b'],
    },
    { inputs: { a: ints(['rows', 3]), b: ints(['columns', 3]) }, compute: ({ a, b }: Pair) => tf.concat([a, b], 0) },
    { inputs: { a: bools(['rows']), b: bools(['columns']) }, compute: ({ a, b }: Pair) => tf.concat([a, b]) },
  ],
  DepthToSpace: [
    { inputs: { x: floats(['batch', 'rows', 2, 12]) }, compute: ({ x }: One) => tf.depthToSpace(x as Tensor4D, 2, 'NHWC') },
  ],
  ExpandDims: [
    ...arrangements(['rows', 'columns'], (x) => [
      tf.expandDims(x),
      tf.expandDims(x, 2),
      tf.expandDims(x, -1),
      tf.expandDims(x, -2),
    ]),
    ...arrangements([], (x) => tf.expandDims(x, 0)),
  ],
  Identity: arrangements(['rows', 'columns'], (x) => tf.clone(x)),
  Pack: [
    {
      inputs: { a: floats(['rows', 'columns']), b: floats(['rows', 'columns']) },
      compute: ({ a, b }: Pair) => [tf.stack([a, b]), tf.stack([a, b, a], 1), tf.stack([b, a], -1)],
      differentiable: ['a', 'b'],
      smallest: 1,
    },
    { inputs: { a: ints([]), b: ints([]) }, compute: ({ a, b }: Pair) => tf.stack([a, b]) },
  ],
  Reshape: [
    ...arrangements(['rows', 'columns', 6], (x) => {
      const [rows, columns] = x.shape as [number, number];
      return [
        tf.reshape(x, [-1]),
        tf.reshape(x, [rows, columns, 2, 3]),
        tf.reshape(x, [6, columns * rows]),
        tf.reshape(x, [rows * 3, columns, 2]),
      ];
    }),
    ...arrangements([], (x) => tf.reshape(x, [1, 1])),
    ...arrangements(['rows', 1], (x) => tf.squeeze(x, [1])),
  ],
  SpaceToBatchND: [
    ...arrangements(
      ['batch', 3, '2 * columns', 2],
      (x) =>
        tf.spaceToBatchND(
          x,
          [2, 2],
          [
            [1, 0],
            [1, 1],
          ],
        ),
      { smallest: 1 },
    ),
    ...arrangements(['batch', 'rows * 3'], (x) => tf.spaceToBatchND(x, [3], [[0, 0]]), { smallest: 1 }),
  ],
  SplitV: [
    ...arrangements(['rows', 6], (x) => [...tf.split(x, 3, 1), ...tf.split(x, [1, -1, 2], -1)], { smallest: 1 }),
    ...arrangements(['2 * rows', 3], (x) => tf.split(x, 2, 0), { smallest: 1 }),
    ...arrangements(['rows + columns', 3], (x) => tf.split(x, [2, -1], 0), { smallest: 2, anySize: false }),
  ],
  Tile: [
    ...arrangements(['rows', 'columns'], (x) => tf.tile(x, [2, 3]), { smallestForGradients: 1 }),
    ...arrangements(['rows', 1], (x) => tf.broadcastTo(x, [2, x.shape[0]!, 4]), { smallest: 1 }),
    ...arrangements([], (x) => tf.broadcastTo(x, [3, 2])),
  ],
  Transpose: [
    ...arrangements(['rows', 3, 'columns', 2], (x) => [
      tf.transpose(x),
      tf.transpose(x, [0, 2, 1, 3]),
      tf.transpose(x, [0, 1, 2, 3]),
    ]),
    ...arrangements(['rows'], (x) => tf.transpose(x)),
  ],
  Unpack: [
    ...arrangements(['rows', 3], (x) => tf.unstack(x, 1), { smallest: 1 }),
    ...arrangements([3, 'columns', 2], (x) => [...tf.unstack(x), ...tf.unstack(x, -1)], { smallest: 1 }),
  ],
};
