import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { describeKernels, type KernelCase } from './kernel-test-cases.ts';
import { floats, hostInputs, ints } from './kernel-test-inputs.ts';
import { compileFor, runEagerly } from './kernel-test-support.ts';

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

describe('pictures', () =>
  describeKernels('images', {
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
  }));

describe.each(['resizeBilinear', 'resizeNearestNeighbor'] as const)('the gradient of %s', (name) => {
  it.each([
    [false, false],
    [true, false],
    [false, true],
  ])('is the transposed resize for any pictures: corners %s, half pixels %s', async (alignCorners, halfPixelCenters) => {
    const resize = (x: Tensor): Tensor => tf.image[name](x as Tensor4D, [7, 3], alignCorners, halfPixelCenters);
    const inputs = hostInputs({ x: floats([2, 4, 5, 2]), dy: floats([2, 7, 3, 2]) }, new Map(), 1);
    await using compiled = await compileFor(
      ({ x, dy }: { x: Tensor; dy: Tensor }) => tf.sum(tf.mul(tf.grad((pixels) => tf.sum(tf.mul(resize(pixels), dy)))(x), x)),
      inputs,
    );
    const [through] = await compiled.run(inputs);
    const [direct] = await runEagerly(({ x, dy }: { x: Tensor; dy: Tensor }) => tf.sum(tf.mul(resize(x), dy)), inputs);
    expect(through!.data[0]).toBeCloseTo(direct!.data[0]!, 3);
  });
});
