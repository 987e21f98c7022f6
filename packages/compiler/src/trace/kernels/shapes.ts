import { ShapeError, sizeOf } from '@blip2/core';
import { backend_util } from '@tensorflow/tfjs-core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { callerOf } from '../caller.ts';
import { axesOf, kernel, type KernelCall, reshape, type TraceKernels, transpose, unsupported } from './kernel.ts';
import { pad, slice } from './slicing.ts';

interface BlockAttributes {
  readonly blockShape: number[];
  readonly crops: [number, number][];
  readonly paddings: [number, number][];
}

/** Blocks of a picture, or of any axes, become batches. */
const spaceToBatch = kernel<BlockAttributes>((call) => {
  const x = call.inputs['x']!;
  const { blockShape, paddings } = call.attributes;
  const product = sizeOf(blockShape);
  const rest = x.shape.slice(1 + blockShape.length).map((): [number, number] => [0, 0]);
  const padded = pad(call, x, [[0, 0], ...paddings, ...rest], 0);
  const blocks = backend_util.getReshaped(padded.shape, blockShape, product, false);
  const perm = backend_util.getPermuted(blocks.length, blockShape.length, false);
  const shape = backend_util.getReshapedPermuted(padded.shape, blockShape, product, false);
  return reshape(call, transpose(call, reshape(call, padded, blocks), perm), shape);
});

/** The way back. */
const batchToSpace = kernel<BlockAttributes>((call) => {
  const x = call.inputs['x']!;
  const { blockShape, crops } = call.attributes;
  const product = sizeOf(blockShape);
  const blocks = backend_util.getReshaped(x.shape, blockShape, product);
  const perm = backend_util.getPermuted(blocks.length, blockShape.length);
  const shape = backend_util.getReshapedPermuted(x.shape, blockShape, product);
  const whole = reshape(call, transpose(call, reshape(call, x, blocks), perm), shape);
  const rest = shape.slice(1 + blockShape.length);
  const begin = [...backend_util.getSliceBeginCoords(crops, blockShape.length), ...rest.map(() => 0)];
  return slice(call, whole, begin, [...backend_util.getSliceSize(shape, crops, blockShape.length), ...rest]);
});

/** Channels become pixels, in the order in which TensorFlow has them: the block's row, its column, the rest. */
const depthToSpace = kernel<{ blockSize: number; dataFormat: string }>((call) => {
  const x = call.inputs['x']!;
  const { blockSize, dataFormat } = call.attributes;
  if (dataFormat !== 'NHWC') throw unsupported(call.kernelName, dataFormat, 'Transpose to NHWC first.');
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const depth = channels / blockSize ** 2;
  const blocks = reshape(call, x, [batch, height, width, blockSize, blockSize, depth]);
  return reshape(call, transpose(call, blocks, [0, 1, 3, 2, 4, 5]), [batch, height * blockSize, width * blockSize, depth]);
});

/** Joins tensors along an axis that they have. */
function concat({ backend }: Pick<KernelCall, 'backend'>, parts: readonly TensorInfo[], axis: number): TensorInfo {
  const shape = parts[0]!.shape.slice();
  shape[axis] = parts.reduce((sum, part) => sum + part.shape[axis]!, 0);
  return backend.emit('Concat', parts, { shape, dtype: parts[0]!.dtype }, { attributes: { axis } });
}

/** Kernels that arrange elements and compute nothing. */
export const SHAPE_KERNELS: TraceKernels = {
  BatchToSpaceND: batchToSpace,
  Concat: kernel<{ axis: number }>((call) => {
    const parts = Object.values(call.inputs);
    return concat(call, parts, axesOf(call.attributes.axis, parts[0]!.shape.length)[0]!);
  }),
  DepthToSpace: depthToSpace,
  ExpandDims: kernel<{ dim: number }>((call) => {
    const input = call.inputs['input']!;
    const shape = input.shape.slice();
    const { dim } = call.attributes;
    shape.splice(dim < 0 ? shape.length + dim + 1 : dim, 0, 1);
    return reshape(call, input, shape);
  }),
  Identity: kernel(({ inputs }) => inputs['x']!),
  Pack: kernel<{ axis: number }>((call) => {
    const parts = Object.values(call.inputs);
    const axis = call.attributes.axis < 0 ? call.attributes.axis + parts[0]!.shape.length + 1 : call.attributes.axis;
    const expanded = parts.map((part) => reshape(call, part, [...part.shape.slice(0, axis), 1, ...part.shape.slice(axis)]));
    return concat(call, expanded, axis);
  }),
  Reshape: kernel<{ shape: number[] }>((call) => {
    const x = call.inputs['x']!;
    const shape = concrete(call.attributes.shape, x);
    if (sizeOf(shape) === sizeOf(x.shape)) return reshape(call, x, shape);
    throw new ShapeError(
      `compile: ${callerOf(new Error())} reshapes a tensor of shape [${x.shape.join(', ')}], ${sizeOf(x.shape)} elements, to ` +
        `[${shape.join(', ')}], expected as many. Sizes of named axes are primes while a function is traced; correct the shape.`,
      x.shape,
      shape,
    );
  }),
  SpaceToBatchND: spaceToBatch,
  SplitV: kernel<{ numOrSizeSplits: number | number[]; axis: number }>(({ inputs, attributes, backend, builder }) => {
    const x = inputs['x']!;
    const [axis] = axesOf(attributes.axis, x.shape.length) as [number];
    const sizes = splitSizes(attributes.numOrSizeSplits, x.shape[axis]!);
    const names = builder.operations('Split', [backend.nameOf(x), builder.sizes(sizes)], sizes.length, { attributes: { axis } });
    return names.map((name, index) => {
      const shape = x.shape.slice();
      shape[axis] = sizes[index]!;
      return backend.tensor(name, { shape, dtype: x.dtype });
    });
  }),
  Tile: kernel<{ reps: number[] }>(({ inputs, attributes, backend, builder }) => {
    const x = inputs['x']!;
    const shape = x.shape.map((size, axis) => size * attributes.reps[axis]!);
    return backend.emit('Tile', [x, builder.sizes(attributes.reps)], { shape, dtype: x.dtype });
  }),
  Transpose: kernel<{ perm: number[] }>((call) => transpose(call, call.inputs['x']!, call.attributes.perm)),
  Unpack: kernel<{ axis: number }>((call) => {
    const value = call.inputs['value']!;
    const [axis] = axesOf(call.attributes.axis, value.shape.length) as [number];
    const shape = value.shape.toSpliced(axis, 1);
    return Array.from({ length: value.shape[axis]! }, (_, index) => {
      const begin = value.shape.map((_size, other) => (other === axis ? index : 0));
      return reshape(call, slice(call, value, begin, value.shape.with(axis, 1)), shape);
    });
  }),
};

/** tfjs writes −1 for the size that follows from the others. */
function concrete(shape: readonly number[], { shape: from }: TensorInfo): number[] {
  const known = shape.reduce((product, size) => (size === -1 ? product : product * size), 1);
  return shape.map((size) => (size === -1 ? (known === 0 ? 0 : sizeOf(from) / known) : size));
}

/** As tfjs has it, but its own function writes into the caller's list, which the next trace reads. */
function splitSizes(sizes: number | readonly number[], total: number): number[] {
  if (typeof sizes === 'number') return Array.from({ length: sizes }, () => total / sizes);
  const known = sizes.reduce((sum, size) => (size === -1 ? sum : sum + size), 0);
  return sizes.map((size) => (size === -1 ? total - known : size));
}
