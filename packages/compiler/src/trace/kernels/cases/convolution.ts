import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor3D, Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';
import type { KernelCase, KernelCases } from './kernel-case.ts';
import { between, floats } from './case-inputs.ts';

type Convolved = { x: Tensor; filter: Tensor; bias: Tensor; alpha: Tensor };
const both = ['x', 'filter'];

/** Batches of any number, pictures of one size. */
function convolutions(convolve: typeof tf.conv2d | typeof tf.depthwiseConv2d, outputs: number): KernelCase[] {
  type Settings = {
    height?: number;
    width?: number;
    size?: [number, number];
    strides?: [number, number];
    pad: 'same' | 'valid' | number;
    dilations?: [number, number];
  };
  const ways: Settings[] = [
    { pad: 'valid' },
    { pad: 'same' },
    { pad: 'same', size: [2, 4], strides: [2, 1] },
    { pad: 'valid', size: [2, 2], strides: [2, 2] },
    // tfjs takes the height of the filter for its width when padding is a number
    { pad: 1, size: [3, 3], strides: [2, 2], height: 8 },
    { pad: 'valid', size: [1, 1], strides: [2, 3] },
  ];
  const make = ({
    height = 7,
    width = 6,
    size: [rows, columns] = [3, 3],
    strides = [1, 1],
    pad,
    dilations,
  }: Settings): KernelCase => ({
    title: `${rows}×${columns}, pad ${pad}, strides ${strides.join('×')}${dilations ? `, dilations ${dilations.join('×')}` : ''}`,
    inputs: { x: floats(['batch', height, width, 2]), filter: floats([rows, columns, 2, outputs]) },
    compute: ({ x, filter }: Convolved) =>
      (convolve as typeof tf.conv2d)(x as Tensor4D, filter as Tensor4D, strides, pad, 'NHWC', dilations),
    differentiable: dilations ? undefined : both,
    tolerance: 1e-5,
    smallest: 1,
  });
  return [...ways.map(make), make({ pad: 'same', dilations: [2, 1] }), make({ pad: 'valid', dilations: [2, 2], size: [2, 3] })];
}

const gradient = (name: 'x' | 'filter', convolve: typeof tf.conv2d): KernelCase => ({
  inputs: { x: floats(['batch', 6, 5, 2]), filter: floats([2, 3, 2, 3]) },
  compute: ({ x, filter }: Convolved) => {
    const loss = (changed: Tensor): Tensor => {
      const [pixels, weights] = name === 'x' ? [changed, filter] : [x, changed];
      return tf.sum(tf.square(convolve(pixels as Tensor4D, weights as Tensor4D, [2, 1], 'same')));
    };
    return tf.grad(loss)(name === 'x' ? x : filter);
  },
  // sums of hundreds, some of which cancel
  tolerance: 1e-4,
  smallest: 1,
});

const volume = { x: floats(['batch', 4, 5, 3, 2]), filter: floats([2, 3, 2, 2, 3]) };
const convolve3d =
  (strides: [number, number, number], pad: 'same' | 'valid') =>
  ({ x, filter }: Convolved): Tensor =>
    tf.conv3d(x as Tensor5D, filter as Tensor5D, strides, pad);
const volumes: KernelCase[] = [
  { title: 'valid', inputs: volume, compute: convolve3d([1, 1, 1], 'valid'), differentiable: both, smallest: 1 },
  { title: 'same, strides', inputs: volume, compute: convolve3d([2, 1, 2], 'same'), differentiable: both, smallest: 1 },
];

type Activation = 'linear' | 'relu' | 'prelu' | 'leakyrelu' | 'relu6';
const fused =
  (activation: Activation, dataFormat: 'NHWC' | 'NCHW' = 'NHWC') =>
  ({ x, filter, bias, alpha }: Convolved): Tensor =>
    tf.fused.conv2d({
      x: x as Tensor4D,
      filter: filter as Tensor4D,
      strides: 1,
      pad: 'same',
      dataFormat,
      bias,
      activation,
      preluActivationWeights: alpha,
      leakyreluAlpha: 0.3,
    });
const picture = { x: floats(['batch', 4, 5, 2]), filter: floats([3, 3, 2, 3]), bias: floats([3]) };

type Normalised = { x: Tensor; mean: Tensor; variance: Tensor; offset?: Tensor; scale?: Tensor };
const normalise = ({ x, mean, variance, offset, scale }: Normalised): Tensor =>
  tf.batchNorm(x as Tensor4D, mean as Tensor3D as never, variance as never, offset as never, scale as never, 1e-3);
const statistics = { x: floats(['batch', 2, 3, 4]), mean: floats([4]), variance: floats([4], between(0.2, 2)) };

/** Ways to call each of the kernels of `convolution`. */
export const CONVOLUTION_CASES: KernelCases = {
  Conv2D: [
    ...convolutions(tf.conv2d, 3),
    {
      title: 'channels first',
      inputs: { x: floats(['batch', 2, 5, 4]), filter: floats([3, 2, 2, 3]) },
      compute: ({ x, filter }: Convolved) => tf.conv2d(x as Tensor4D, filter as Tensor4D, 1, 'same', 'NCHW'),
      smallest: 1,
    },
    {
      title: 'rounding up',
      inputs: { x: floats(['batch', 6, 6, 1]), filter: floats([3, 3, 1, 2]) },
      compute: ({ x, filter }: Convolved) => tf.conv2d(x as Tensor4D, filter as Tensor4D, 2, 0, 'NHWC', 1, 'ceil'),
      smallest: 1,
    },
    {
      title: 'no pictures',
      inputs: { x: floats([0, 4, 4, 2]), filter: floats([3, 3, 2, 3]) },
      compute: ({ x, filter }: Convolved) => tf.conv2d(x as Tensor4D, filter as Tensor4D, 1, 'same'),
    },
  ],
  Conv2DBackpropFilter: [gradient('filter', tf.conv2d)],
  Conv2DBackpropInput: [
    gradient('x', tf.conv2d),
    {
      title: 'as a layer of its own',
      inputs: { x: floats(['batch', 3, 4, 3]), filter: floats([2, 3, 2, 3]) },
      compute: ({ x, filter }: Convolved) =>
        tf.conv2dTranspose(x as Tensor4D, filter as Tensor4D, [x.shape[0]!, 6, 8, 2], 2, 'same'),
      differentiable: both,
      smallest: 1,
    },
  ],
  Conv3D: volumes,
  Conv3DBackpropFilterV2: volumes,
  Conv3DBackpropInputV2: volumes,
  DepthwiseConv2dNative: [...convolutions(tf.depthwiseConv2d, 1), ...convolutions(tf.depthwiseConv2d, 3).slice(0, 3)].filter(
    // tfjs has no depthwise convolution with other steps than squares
    ({ title }) => !/strides (2×1|3×2|2×3)/.test(title!),
  ),
  DepthwiseConv2dNativeBackpropFilter: convolutions(tf.depthwiseConv2d, 2).slice(0, 2),
  DepthwiseConv2dNativeBackpropInput: convolutions(tf.depthwiseConv2d, 2).slice(3, 4),
  FusedBatchNorm: [
    {
      inputs: { ...statistics, offset: floats([4]), scale: floats([4]) },
      compute: normalise,
      differentiable: ['x', 'mean', 'variance', 'offset', 'scale'],
      smallest: 1,
    },
    { inputs: statistics, compute: normalise },
  ],
  FusedConv2D: [
    { inputs: picture, compute: fused('relu'), differentiable: ['x', 'filter', 'bias'], smallest: 1 },
    { title: 'relu6', inputs: picture, compute: fused('relu6'), smallest: 1 },
    { title: 'leaky relu', inputs: picture, compute: fused('leakyrelu'), smallest: 1 },
    { inputs: { ...picture, alpha: floats([3]) }, compute: fused('prelu'), smallest: 1 },
    {
      title: 'channels first',
      inputs: { x: floats(['batch', 2, 4, 5]), filter: floats([3, 3, 2, 3]), bias: floats([3]), alpha: floats([3]) },
      compute: fused('prelu', 'NCHW'),
      smallest: 1,
    },
  ],
  FusedDepthwiseConv2D: [
    {
      inputs: { x: floats(['batch', 4, 5, 2]), filter: floats([3, 3, 2, 2]), bias: floats([4]) },
      compute: ({ x, filter, bias }: Convolved) =>
        tf.fused.depthwiseConv2d({
          x: x as Tensor4D,
          filter: filter as Tensor4D,
          strides: 1,
          pad: 'same',
          bias,
          activation: 'relu',
        }),
      differentiable: ['x', 'filter', 'bias'],
      smallest: 1,
    },
  ],
};
