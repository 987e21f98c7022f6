import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';
import type { KernelCase, KernelCases } from './kernel-case.ts';
import { floats, whole } from './case-inputs.ts';

type One = { x: Tensor };
type Pool = typeof tf.maxPool;
type Pool3d = typeof tf.maxPool3d;

function pools(pool: Pool): KernelCase[] {
  const ways: [size: [number, number], strides: [number, number], pad: 'same' | 'valid' | number, rounding?: 'ceil'][] = [
    [[2, 2], [2, 2], 'valid'],
    [[3, 2], [1, 2], 'same'],
    [[3, 3], [2, 2], 1],
    [[2, 3], [3, 3], 'valid'],
    [[3, 3], [2, 2], 0, 'ceil'],
    [[1, 1], [2, 2], 'valid'],
  ];
  return ways.map(([size, strides, pad, rounding]) => ({
    title: `${size.join('×')}, strides ${strides.join('×')}, pad ${pad}${rounding === undefined ? '' : `, ${rounding}`}`,
    inputs: { x: floats(['batch', 6, 8, 3]) },
    compute: ({ x }: One) => pool(x as Tensor4D, size, strides, pad, rounding),
    // The gradients of tfjs know no rounding.
    differentiable: rounding === undefined ? ['x'] : undefined,
    smallest: 1,
  }));
}

const gradients = (pool: Pool): KernelCase[] => [
  {
    title: 'windows that overlap',
    inputs: { x: floats(['batch', 5, 6, 2]) },
    compute: ({ x }: One) => tf.grad((pixels) => tf.sum(tf.square(pool(pixels as Tensor4D, 3, 1, 'same'))))(x),
    smallest: 1,
  },
  {
    title: 'equal values',
    inputs: { x: floats(['batch', 4, 4, 2], whole(0, 1)) },
    compute: ({ x }: One) => tf.grad((pixels) => tf.sum(tf.square(pool(pixels as Tensor4D, 2, 2, 'valid'))))(x),
    smallest: 1,
  },
];

/** tfjs finds the largest of a window only where it is as high as wide. */
const volumes = (pool: Pool3d): KernelCase[] =>
  (['same', 'valid'] as const).map((pad) => ({
    title: pad,
    inputs: { x: floats(['batch', 4, 5, 4, 2]) },
    compute: ({ x }: One) => pool(x as Tensor5D, [3, 2, 2], [2, 1, 2], pad),
    differentiable: ['x'],
    smallest: 1,
  }));

/** Ways to call each of the kernels of `pooling`. */
export const POOLING_CASES: KernelCases = {
  AvgPool: pools(tf.avgPool),
  AvgPool3D: volumes(tf.avgPool3d),
  AvgPool3DGrad: volumes(tf.avgPool3d),
  AvgPoolGrad: gradients(tf.avgPool),
  MaxPool: pools(tf.maxPool),
  MaxPool3D: volumes(tf.maxPool3d),
  MaxPool3DGrad: volumes(tf.maxPool3d),
  MaxPoolGrad: gradients(tf.maxPool),
};
