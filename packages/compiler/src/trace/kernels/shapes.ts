import { sizeOf } from '@blip2/core';
import type { DataType, TensorInfo } from '@tensorflow/tfjs-core';
import { onnxType } from '../trace-backend.ts';
import { axesOf, kernel, type KernelCall, type TraceKernels } from './kernel.ts';

/** `allowzero`: a 0 in a shape is an axis without elements, not "as before". Empty caches need it. */
const WITH_EMPTY_AXES = { attributes: { allowzero: 1 } } as const;

function reshape(
  { backend, builder }: Pick<KernelCall, 'backend' | 'builder'>,
  x: TensorInfo,
  shape: readonly number[],
): TensorInfo {
  return backend.emit('Reshape', [x, builder.sizes(shape)], { shape, dtype: x.dtype }, WITH_EMPTY_AXES);
}

function slice({ backend, builder }: KernelCall, x: TensorInfo, begin: readonly number[], size: readonly number[]): TensorInfo {
  const axes = x.shape.map((_, axis) => axis);
  const sizes = size.map((count, axis) => (count === -1 ? x.shape[axis]! - begin[axis]! : count));
  const cut = axes.filter((axis) => begin[axis] !== 0 || sizes[axis] !== x.shape[axis]);
  if (cut.length === 0) return backend.alias(x);
  const ends = axes.map((axis) => begin[axis]! + sizes[axis]!);
  return backend.emit('Slice', [x, builder.sizes(begin), builder.sizes(ends), builder.sizes(axes)], {
    shape: sizes,
    dtype: x.dtype,
  });
}

function filled({ backend, builder }: KernelCall, shape: readonly number[], dtype: DataType, value: number): TensorInfo {
  const values = dtype === 'float32' ? Float32Array.of(value) : dtype === 'int32' ? Int32Array.of(value) : Uint8Array.of(value);
  const scalar = builder.constant(values, [], onnxType(dtype));
  return backend.emit('Expand', [scalar, builder.sizes(shape)], { shape, dtype });
}

/** Kernels that arrange elements and compute nothing. */
export const SHAPE_KERNELS: TraceKernels = {
  Identity: kernel(({ inputs, backend }) => backend.alias(inputs['x']!)),
  Reshape: kernel<{ shape: number[] }>((call) =>
    reshape(call, call.inputs['x']!, concrete(call.attributes.shape, call.inputs['x']!)),
  ),
  ExpandDims: kernel<{ dim: number }>((call) => {
    const input = call.inputs['input']!;
    const shape = input.shape.slice();
    const { dim } = call.attributes;
    shape.splice(dim < 0 ? shape.length + dim + 1 : dim, 0, 1);
    return reshape(call, input, shape);
  }),
  Transpose: kernel<{ perm: number[] }>(({ inputs, attributes, backend }) => {
    const x = inputs['x']!;
    const { perm } = attributes;
    if (perm.every((from, axis) => from === axis)) return backend.alias(x);
    const shape = perm.map((axis) => x.shape[axis]!);
    return backend.emit('Transpose', [x], { shape, dtype: x.dtype }, { attributes: { perm } });
  }),
  Slice: kernel<{ begin: number[]; size: number[] }>((call) =>
    slice(call, call.inputs['x']!, call.attributes.begin, call.attributes.size),
  ),
  Concat: kernel<{ axis: number }>(({ inputs, attributes, backend }) => {
    const parts = Object.values(inputs);
    const [axis] = axesOf(attributes.axis, parts[0]!.shape.length) as [number];
    const shape = parts[0]!.shape.slice();
    shape[axis] = parts.reduce((sum, part) => sum + part.shape[axis]!, 0);
    return backend.emit('Concat', parts, { shape, dtype: parts[0]!.dtype }, { attributes: { axis } });
  }),
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
  Pack: kernel<{ axis: number }>((call) => {
    const parts = Object.values(call.inputs);
    const axis = call.attributes.axis < 0 ? call.attributes.axis + parts[0]!.shape.length + 1 : call.attributes.axis;
    const expanded = parts.map((part) => reshape(call, part, [...part.shape.slice(0, axis), 1, ...part.shape.slice(axis)]));
    const shape = expanded[0]!.shape.slice();
    shape[axis] = parts.length;
    return call.backend.emit('Concat', expanded, { shape, dtype: parts[0]!.dtype }, { attributes: { axis } });
  }),
  Unpack: kernel<{ axis: number }>((call) => {
    const value = call.inputs['value']!;
    const [axis] = axesOf(call.attributes.axis, value.shape.length) as [number];
    const shape = value.shape.filter((_, other) => other !== axis);
    return Array.from({ length: value.shape[axis]! }, (_, index) => {
      const begin = value.shape.map((_, other) => (other === axis ? index : 0));
      const size = value.shape.map((count, other) => (other === axis ? 1 : count));
      return reshape(call, slice(call, value, begin, size), shape);
    });
  }),
  Tile: kernel<{ reps: number[] }>(({ inputs, attributes, backend, builder }) => {
    const x = inputs['x']!;
    const shape = x.shape.map((size, axis) => size * attributes.reps[axis]!);
    return backend.emit('Tile', [x, builder.sizes(attributes.reps)], { shape, dtype: x.dtype });
  }),
  BroadcastTo: kernel<{ shape: number[] }>(({ inputs, attributes, backend, builder }) => {
    const x = inputs['x']!;
    return backend.emit('Expand', [x, builder.sizes(attributes.shape)], { shape: attributes.shape, dtype: x.dtype });
  }),
  PadV2: kernel<{ paddings: [number, number][]; constantValue: number }>(({ inputs, attributes, backend, builder }) => {
    const x = inputs['x']!;
    const { paddings, constantValue } = attributes;
    const shape = x.shape.map((size, axis) => size + paddings[axis]![0] + paddings[axis]![1]);
    const pads = [...paddings.map(([before]) => before), ...paddings.map(([, after]) => after)];
    const value =
      x.dtype === 'int32' ? builder.constant(Int32Array.of(constantValue), [], 'int32') : builder.float(constantValue);
    return backend.emit('Pad', [x, builder.sizes(pads), value], { shape, dtype: x.dtype });
  }),
  Fill: kernel<{ shape: number[]; value: number; dtype: DataType }>((call) => {
    const { shape, value, dtype } = call.attributes;
    return filled(call, shape, dtype ?? 'float32', value);
  }),
  ZerosLike: kernel((call) => filled(call, call.inputs['x']!.shape, call.inputs['x']!.dtype, 0)),
  OnesLike: kernel((call) => filled(call, call.inputs['x']!.shape, call.inputs['x']!.dtype, 1)),
  Range: kernel<{ start: number; stop: number; step: number; dtype: DataType }>(({ attributes, backend, builder }) => {
    const { start, stop, step, dtype } = attributes;
    const length = Math.max(0, Math.ceil((stop - start) / step));
    const [from, to, by] = [start, stop, step].map((value) => builder.size(value));
    const range = builder.operation('Range', [from!, to!, by!]);
    return backend.emit('Cast', [range], { shape: [length], dtype }, { attributes: { to: dtype === 'int32' ? 6 : 1 } });
  }),
};

/** tfjs writes −1 for the size that follows from the others. */
function concrete(shape: readonly number[], { shape: from }: TensorInfo): number[] {
  const known = shape.reduce((product, size) => (size === -1 ? product : product * size), 1);
  return shape.map((size) => (size === -1 ? sizeOf(from) / known : size));
}

function splitSizes(sizes: number | readonly number[], total: number): number[] {
  if (typeof sizes === 'number') return Array.from({ length: sizes }, () => total / sizes);
  const known = sizes.reduce((sum, size) => (size === -1 ? sum : sum + size), 0);
  return sizes.map((size) => (size === -1 ? total - known : size));
}
