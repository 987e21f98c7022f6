import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import type { KernelCase, KernelCases } from './kernel-case.ts';
import { floats, ints } from './case-inputs.ts';

type One = { x: Tensor };
type Resize = typeof tf.image.resizeBilinear;

/** The plain backend of tfjs has gradients for square pictures only, and mixes up those of several. */
const square = { inputs: { x: floats([1, 5, 5, 2]) }, differentiable: ['x'] };

function resizes(resize: Resize): KernelCase[] {
  const ways: [title: string, alignCorners: boolean, halfPixelCenters: boolean][] = [
    ['from corners', false, false],
    ['corners aligned', true, false],
    ['half pixels', false, true],
  ];
  const sizes: [number, number][] = [
    [7, 9],
    [3, 4],
    [1, 5],
    [10, 2],
  ];
  return ways.flatMap(([title, alignCorners, halfPixelCenters]) => [
    ...sizes.map((size) => ({
      title: `${title}, to ${size.join('×')}`,
      compute: ({ x }: One) => resize(x as Tensor4D, size, alignCorners, halfPixelCenters),
      ...(halfPixelCenters ? { inputs: { x: floats([2, 5, 4, 2]) } } : square),
    })),
    {
      title: `${title}, pictures of any size`,
      inputs: { x: floats(['batch', 'height', 'width', 3]) },
      compute: ({ x }: One) => resize(x as Tensor4D, [2 * x.shape[1]!, 6], alignCorners, halfPixelCenters),
      smallest: 2,
    },
  ]);
}

const gradient = (resize: Resize, alignCorners: boolean): KernelCase => ({
  title: alignCorners ? 'corners aligned' : 'from corners',
  inputs: { x: floats([1, 4, 4, 3]) },
  compute: ({ x }: One) => tf.grad((pixels) => tf.sum(tf.square(resize(pixels as Tensor4D, [8, 3], alignCorners))))(x),
});

/** Ways to call each of the kernels of `images`. */
export const IMAGES_CASES: KernelCases = {
  ResizeBilinear: [
    ...resizes(tf.image.resizeBilinear),
    { inputs: { x: ints([1, 3, 4, 2]) }, compute: ({ x }: One) => tf.image.resizeBilinear(x as Tensor4D, [5, 6]) },
  ],
  ResizeBilinearGrad: [gradient(tf.image.resizeBilinear, false), gradient(tf.image.resizeBilinear, true)],
  ResizeNearestNeighbor: [
    ...resizes(tf.image.resizeNearestNeighbor),
    { inputs: { x: ints([1, 3, 4, 2]) }, compute: ({ x }: One) => tf.image.resizeNearestNeighbor(x as Tensor4D, [5, 6]) },
  ],
  ResizeNearestNeighborGrad: [gradient(tf.image.resizeNearestNeighbor, false), gradient(tf.image.resizeNearestNeighbor, true)],
};
