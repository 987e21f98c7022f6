import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { KernelCases } from './kernel-case.ts';
import { bools, floats, ints } from './case-inputs.ts';

type One = { x: Tensor };

// The linter takes a fill with a list for that of an array.
const { fill } = tf;

/** Ways to call each of the kernels of `creation`. */
export const CREATION_CASES: KernelCases = {
  Diag: [
    { inputs: { x: floats(['rows']) }, compute: ({ x }: One) => tf.diag(x), smallest: 1 },
    { inputs: { x: ints([2, 'columns']) }, compute: ({ x }: One) => tf.diag(x), smallest: 1 },
  ],
  Fill: [
    {
      inputs: { x: floats(['rows', 'columns']) },
      compute: ({ x }: One) => [
        fill(x.shape, 2.5),
        fill([x.shape[1]!, 2], 3, 'int32'),
        fill([], 1, 'bool'),
        tf.zeros(x.shape),
        tf.ones([3]),
      ],
    },
  ],
  LinSpace: [
    {
      inputs: { x: floats(['rows']) },
      compute: ({ x }: One) => [tf.linspace(-1, 2, x.shape[0]!), tf.linspace(3, 1, 5)],
      smallest: 1,
    },
  ],
  OnesLike: [
    {
      inputs: { x: floats(['rows', 'columns']), y: ints([]), z: bools(['rows']) },
      compute: (all: Record<string, Tensor>) => Object.values(all).map((x) => tf.onesLike(x)),
    },
    { inputs: { x: floats(['rows']) }, compute: ({ x }: One) => tf.mul(x, tf.onesLike(x)), differentiable: ['x'] },
  ],
  Range: [
    {
      inputs: { x: floats(['rows', 'columns']) },
      compute: ({ x }: One) => {
        const [rows, columns] = x.shape as [number, number];
        return [
          tf.range(0, rows),
          tf.range(1, 2 * columns + 1, 2, 'int32'),
          tf.range(columns, 0, -1, 'int32'),
          tf.range(0, 3, 0.75),
          tf.range(2, 2),
          tf.range(0, rows * columns, 1, 'int32'),
        ];
      },
      smallest: 1,
    },
  ],
  ZerosLike: [
    {
      inputs: { x: floats(['rows', 'columns']), y: ints([]), z: bools(['rows']) },
      compute: (all: Record<string, Tensor>) => Object.values(all).map((x) => tf.zerosLike(x)),
    },
    { inputs: { x: floats(['rows']) }, compute: ({ x }: One) => tf.add(x, tf.zerosLike(x)), differentiable: ['x'] },
  ],
};
