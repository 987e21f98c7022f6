import type { backend_util, TensorInfo } from '@tensorflow/tfjs-core';
import { type Graph, type KernelCall, transpose, unsupported } from './kernel.ts';

/** Windows that move over a picture, or over a volume: one number for each of its axes. */
export interface Spatial {
  readonly input: readonly number[];
  readonly output: readonly number[];
  readonly filter: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Pixels from the first to the last that a window sees. */
  readonly extent: readonly number[];
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** Whether tfjs has the channels last. */
  readonly channelsLast: boolean;
}

type Info = backend_util.Conv2DInfo | backend_util.Conv3DInfo;

/**
 * What tfjs computes of a kernel's attributes, by axis.
 *
 * @throws {UnsupportedBackendError} when tfjs has fewer windows than fit.
 */
export function geometryOf({ kernelName }: Pick<KernelCall, 'kernelName'>, info: Info): Spatial {
  const names = 'inDepth' in info ? (['Depth', 'Height', 'Width'] as const) : (['Height', 'Width'] as const);
  const sides = 'inDepth' in info ? (['front', 'top', 'left'] as const) : (['top', 'left'] as const);
  const all = info as unknown as Readonly<Record<string, number>>;
  const pick = (prefix: string): number[] => names.map((name) => all[`${prefix}${name}`]!);
  const [input, output, filter, strides, dilations] = ['in', 'out', 'filter', 'stride', 'dilation'].map(pick) as [
    number[],
    number[],
    number[],
    number[],
    number[],
  ];
  const extent = filter.map((size, axis) => (size - 1) * dilations[axis]! + 1);
  const before = sides.map((side) => (info.padInfo as unknown as Readonly<Record<string, number>>)[side]!);
  // As much as the last window needs: rounding modes of tfjs change the size of the result, which ONNX computes from this.
  const after = input.map((size, axis) =>
    Math.max(0, (output[axis]! - 1) * strides[axis]! + extent[axis]! - size - before[axis]!),
  );
  // tfjs takes the height of a window for its width when padding is a number; no operator goes along with it.
  const count = (axis: number): number =>
    Math.floor((input[axis]! + before[axis]! + after[axis]! - extent[axis]!) / strides[axis]!) + 1;
  if (output.some((size, axis) => size !== count(axis))) {
    throw unsupported(kernelName, `a padding by number and windows of ${filter.join('×')}`, `Pad with tf.pad and use 'valid'.`);
  }
  return { input, output, filter, strides, dilations, extent, before, after, channelsLast: info.dataFormat === 'channelsLast' };
}

/** `[batch, ..., channels]` to `[batch, channels, ...]`, if it is not so. */
export function channelsFirst(graph: Graph, x: TensorInfo, { channelsLast: isLast }: Spatial): TensorInfo {
  const axes = [...x.shape.keys()];
  return isLast ? transpose(graph, x, [0, axes.at(-1)!, ...axes.slice(1, -1)]) : x;
}

/** The way back. */
export function channelsLast(graph: Graph, x: TensorInfo, { channelsLast: isLast }: Spatial): TensorInfo {
  const axes = [...x.shape.keys()];
  return isLast ? transpose(graph, x, [0, ...axes.slice(2), 1]) : x;
}
