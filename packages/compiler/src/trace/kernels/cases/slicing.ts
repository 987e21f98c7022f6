import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import type { KernelCase, KernelCases } from './kernel-case.ts';
import { bools, floats, ints } from './case-inputs.ts';

type One = { x: Tensor };

function parts(axes: (string | number)[], take: (x: Tensor) => unknown, more: Partial<KernelCase> = {}): KernelCase[] {
  const compute = ({ x }: One): unknown => take(x);
  return [
    { inputs: { x: floats(axes) }, compute, differentiable: ['x'], ...more },
    { inputs: { x: ints(axes) }, compute, ...more },
    { inputs: { x: bools(axes) }, compute, ...more },
  ];
}
const constant = { differentiable: undefined };

/** Ways to call each of the kernels of `slicing`. */
export const SLICING_CASES: KernelCases = {
  FlipLeftRight: [
    { inputs: { x: floats(['batch', 'rows', 'columns', 3]) }, compute: ({ x }: One) => tf.image.flipLeftRight(x as Tensor4D) },
  ],
  MirrorPad: [
    ...parts(['2 + rows', '2 + columns'], (x) =>
      tf.mirrorPad(
        x,
        [
          [2, 1],
          [0, 2],
        ],
        'symmetric',
      ),
    ),
    ...parts(
      ['3 + rows', 4, 'columns'],
      (x) =>
        tf.mirrorPad(
          x,
          [
            [2, 1],
            [1, 3],
            [0, 0],
          ],
          'reflect',
        ),
      { smallest: 1 },
    ),
    ...parts([3], (x) => tf.mirrorPad(x, [[0, 0]], 'reflect')),
  ],
  PadV2: [
    ...parts(['rows', 'columns'], (x) => [
      tf.pad(x, [
        [1, 2],
        [0, 3],
      ]),
      tf.pad(
        x,
        [
          [0, 0],
          [2, 0],
        ],
        1,
      ),
    ]),
    { inputs: { x: floats(['rows']) }, compute: ({ x }: One) => tf.pad(x, [[1, 0]], Number.NEGATIVE_INFINITY) },
    ...parts(['rows', 1], (x) =>
      tf.pad(x, [
        [0, 0],
        [0, x.shape[0]!],
      ]),
    ),
  ],
  Reverse: [
    ...parts(['rows', 3, 'columns'], (x) => [tf.reverse(x), tf.reverse(x, 1), tf.reverse(x, [0, -1])]),
    ...parts(['rows'], (x) => tf.reverse(x)),
  ],
  Slice: [
    ...parts(['2 + rows', 'columns', 4], (x) => [
      tf.slice(x, [1, 0, 1], [-1, -1, 2]),
      tf.slice(x, [0, 0, 3], [2, x.shape[1]!, 1]),
      tf.slice(x, [0, 0, 0], [-1, -1, -1]),
      tf.slice(x, 1),
      tf.slice(x, [x.shape[0]! - 1, 0], [1, x.shape[1]!]),
    ]),
    ...parts([5], (x) => [tf.slice(x, 2, 2), tf.slice(x, [5], [0])]),
  ],
  StridedSlice: [
    ...parts(
      ['4 + rows', 5, 'columns'],
      (x) => [
        tf.stridedSlice(x, [1, 0, 0], [4, 5, x.shape[2]!], [2, 3, 1]),
        tf.stridedSlice(x, [3, 4], [0, 0], [-1, -2], 0, 2),
        tf.stridedSlice(x, [-1, 1], [1, 2], [1, 1], 0, 1, 0, 0, 2),
        tf.stridedSlice(x, [0, 0, 1], [2, 0, 3], [1, 1, 1], 0, 0, 0, 2),
        tf.stridedSlice(x, [0, 2], [0, 4], [1, 1], 1, 1, 1),
      ],
      { ...constant, smallest: 1 },
    ),
    {
      title: 'its derived forms',
      inputs: { x: floats([6, 5]) },
      compute: ({ x }: One) => [
        tf.stridedSlice(x as Tensor2D, [0, 0], [6, 5]),
        tf.stridedSlice(x as unknown as Tensor3D, [5], [1], [-2]),
      ],
    },
  ],
};
