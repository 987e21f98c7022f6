import { slice_util } from '@tensorflow/tfjs-core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { axesOf, type Graph, kernel, reshape, scalar, type TraceKernels } from './kernel.ts';

/** Further than any axis: a Slice that goes backwards ends before the first element. */
const BEFORE_ALL = -(2 ** 31);

/** Part of a tensor; the tensor itself when that is all of it. @param size - −1 is all that is left. */
export function slice({ backend, builder }: Graph, x: TensorInfo, begin: readonly number[], size: readonly number[]): TensorInfo {
  const axes = x.shape.map((_, axis) => axis);
  const sizes = size.map((count, axis) => (count === -1 ? x.shape[axis]! - begin[axis]! : count));
  const cut = axes.filter((axis) => begin[axis] !== 0 || sizes[axis] !== x.shape[axis]);
  if (cut.length === 0) return x;
  const from = cut.map((axis) => begin[axis]!);
  const ends = cut.map((axis) => begin[axis]! + sizes[axis]!);
  return backend.emit('Slice', [x, builder.sizes(from), builder.sizes(ends), builder.sizes(cut)], {
    shape: sizes,
    dtype: x.dtype,
  });
}

/** The elements of some axes in the opposite order. */
export function reverse({ backend, builder }: Graph, x: TensorInfo, axes: readonly number[]): TensorInfo {
  if (axes.length === 0) return x;
  const every = (value: number): string => builder.sizes(axes.map(() => value));
  return backend.emit('Slice', [x, every(-1), every(BEFORE_ALL), builder.sizes(axes), every(-1)], x);
}

/** One value around a tensor. */
export function pad(
  { backend, builder }: Graph,
  x: TensorInfo,
  paddings: readonly (readonly [number, number])[],
  value: number,
): TensorInfo {
  const shape = x.shape.map((size, axis) => size + paddings[axis]![0] + paddings[axis]![1]);
  const pads = [...paddings.map(([before]) => before), ...paddings.map(([, after]) => after)];
  return backend.emit('Pad', [x, builder.sizes(pads), scalar({ builder }, value, x.dtype)], { shape, dtype: x.dtype });
}

interface StridedSliceAttributes {
  readonly begin: number[];
  readonly end: number[];
  readonly strides: number[];
  readonly beginMask: number;
  readonly endMask: number;
  readonly ellipsisMask: number;
  readonly newAxisMask: number;
  readonly shrinkAxisMask: number;
}

const stridedSlice = kernel<StridedSliceAttributes>((call) => {
  const { backend, builder } = call;
  const x = call.inputs['x']!;
  const { begin, end, strides, beginMask, endMask, ellipsisMask, newAxisMask, shrinkAxisMask } = call.attributes;
  const info = slice_util.sliceInfo(x.shape, begin, end, strides, beginMask, endMask, ellipsisMask, newAxisMask, shrinkAxisMask);
  const isBackwards = info.strides.map((stride) => stride < 0);
  // Backwards only from the last element on: elsewhere ONNX Runtime 1.30 begins there all the same with WebGPU.
  const lowest = info.begin.map((first, axis) => (isBackwards[axis] ? Math.min(info.end[axis]! + 1, first + 1) : 0));
  const counts = info.begin.map((first, axis) => (isBackwards[axis] ? first + 1 - lowest[axis]! : x.shape[axis]!));
  const within = slice(call, x, lowest, counts);
  const from = info.begin.map((first, axis) => (isBackwards[axis] ? -1 : first));
  const ends = info.end.map((last, axis) => (isBackwards[axis] ? BEFORE_ALL : last));
  const settings = [from, ends, x.shape.map((_, axis) => axis), info.strides].map((values) => builder.sizes(values));
  const shape = slice_util.computeOutShape(info.begin, info.end, info.strides);
  const cut = backend.emit('Slice', [within, ...settings], { shape, dtype: x.dtype });
  // New axes, and axes of which one element was picked.
  return info.finalShape.join() === shape.join() ? cut : reshape(call, cut, info.finalShape);
});

interface MirrorPadAttributes {
  readonly paddings: [number, number][];
  readonly mode: 'reflect' | 'symmetric';
}

/** Mirrors the elements at the edges; with `symmetric` the outermost ones are doubled, which ONNX does not have. */
const mirrorPad = kernel<MirrorPadAttributes>((call) => {
  const { backend } = call;
  const { paddings, mode } = call.attributes;
  const skipped = mode === 'reflect' ? 1 : 0;
  return paddings.reduce<TensorInfo>((x, [before, after], axis) => {
    const size = x.shape[axis]!;
    const edge = (position: number, count: number): TensorInfo[] => {
      if (count === 0) return [];
      const begin = x.shape.map((_, other) => (other === axis ? position : 0));
      return [reverse(call, slice(call, x, begin, x.shape.with(axis, count)), [axis])];
    };
    const parts = [...edge(skipped, before), x, ...edge(size - after - skipped, after)];
    const shape = x.shape.with(axis, before + size + after);
    return parts.length === 1 ? x : backend.emit('Concat', parts, { shape, dtype: x.dtype }, { attributes: { axis } });
  }, call.inputs['x']!);
});

/** Kernels that take parts of tensors and put something around them. */
export const SLICING_KERNELS: TraceKernels = {
  FlipLeftRight: kernel((call) => reverse(call, call.inputs['image']!, [2])),
  MirrorPad: mirrorPad,
  PadV2: kernel<{ paddings: [number, number][]; constantValue: number }>((call) => {
    return pad(call, call.inputs['x']!, call.attributes.paddings, call.attributes.constantValue);
  }),
  Reverse: kernel<{ dims: number | number[] }>((call) => {
    const x = call.inputs['x']!;
    return reverse(call, x, axesOf(call.attributes.dims, x.shape.length));
  }),
  Slice: kernel<{ begin: number[]; size: number[] }>((call) => {
    const x = call.inputs['x']!;
    const [begin, size] = slice_util.parseSliceParams(x as never, call.attributes.begin, call.attributes.size);
    return slice(call, x, begin!, size!);
  }),
  StridedSlice: stridedSlice,
};
