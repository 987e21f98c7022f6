import type { TensorInfo } from '@tensorflow/tfjs-core';
import { cast, kernel, type KernelCall, type TraceKernel, type TraceKernels, transpose } from './kernel.ts';

interface ResizeAttributes {
  readonly size: [number, number];
  readonly alignCorners: boolean;
  readonly halfPixelCenters: boolean;
}

/** Where tfjs takes a pixel from, in ONNX's words. */
function settings(mode: 'linear' | 'nearest', { alignCorners, halfPixelCenters }: ResizeAttributes): Record<string, string> {
  const coordinate_transformation_mode = alignCorners ? 'align_corners' : halfPixelCenters ? 'half_pixel' : 'asymmetric';
  if (mode === 'linear') return { mode, coordinate_transformation_mode };
  // tfjs rounds ⌊scale·(i + ½)⌋, which is ⌊position + ½⌋ for ONNX's position scale·(i + ½) − ½.
  const nearest_mode = alignCorners || halfPixelCenters ? 'round_prefer_ceil' : 'floor';
  return { mode, coordinate_transformation_mode, nearest_mode };
}

function resize(mode: 'linear' | 'nearest'): TraceKernel {
  return kernel<ResizeAttributes>((call) => {
    const { backend, builder, attributes } = call;
    const images = call.inputs['images']!;
    const [batch, , , channels] = images.shape as [number, number, number, number];
    const dtype = mode === 'linear' ? 'float32' : images.dtype;
    const pixels = transpose(call, cast(call, images, dtype), [0, 3, 1, 2]); // [batch, channels, height, width]
    const shape = [batch, channels, ...attributes.size];
    const result = backend.emit(
      'Resize',
      [pixels, '', '', builder.sizes(shape)],
      { shape, dtype },
      { attributes: settings(mode, attributes) },
    );
    return transpose(call, result, [0, 2, 3, 1]);
  });
}

/** How much of each pixel of one axis is in each pixel of the resized one: `weights[to][from]`. */
type Weights = (from: number, to: number, attributes: ResizeAttributes) => number[][];

/** Where each resized pixel lies among the others. The gradients of tfjs's plain backend know no half pixels; these do. */
function positions(from: number, to: number, { alignCorners, halfPixelCenters }: ResizeAttributes, half: number): number[] {
  const scale = alignCorners && to > 1 ? (from - 1) / (to - 1) : from / to;
  return Array.from({ length: to }, (_, index) => (halfPixelCenters ? (index + 0.5) * scale - half : index * scale));
}

/** Source: `ResizeBilinear` of tfjs-backend-cpu. */
const linearWeights: Weights = (from, to, attributes) =>
  positions(from, to, attributes, 0.5).map((position) => {
    const low = Math.max(0, Math.floor(position));
    const high = Math.min(Math.ceil(position), from - 1);
    const weights = Array.from({ length: from }, () => 0);
    weights[low]! += 1 - (position - low);
    weights[high]! += position - low;
    return weights;
  });

/** Source: `ResizeNearestNeighbor` of tfjs-backend-cpu. */
const nearestWeights: Weights = (from, to, attributes) =>
  positions(from, to, attributes, 0).map((position) => {
    const nearest = Math.min(from - 1, attributes.alignCorners ? Math.round(position) : Math.floor(position));
    return Array.from({ length: from }, (_, other) => (other === nearest ? 1 : 0));
  });

function matrix({ builder }: Pick<KernelCall, 'builder'>, rows: readonly (readonly number[])[]): string {
  return builder.constant(Float32Array.from(rows.flat()), [rows.length, rows[0]!.length], 'float32');
}

/** A resize is a product with a matrix on either side, so its gradient is one with their transposes. Sizes are fixed. */
function gradient(weightsOf: Weights): TraceKernel {
  return kernel<ResizeAttributes>((call) => {
    const { backend, builder, attributes } = call;
    const { dy, images } = call.inputs as { dy: TensorInfo; images: TensorInfo };
    const [batch, height, width, channels] = images.shape as [number, number, number, number];
    const [, toHeight, toWidth] = dy.shape as [number, number, number, number];
    const changes = transpose(call, dy, [0, 3, 1, 2]);
    const rows = weightsOf(height, toHeight, attributes); // [toHeight][height]
    const above = matrix(
      call,
      rows[0]!.map((_, from) => rows.map((row) => row[from]!)),
    ); // [height, toHeight]
    const across = matrix(call, weightsOf(width, toWidth, attributes)); // [toWidth, width]
    const left = builder.operation('MatMul', [above, backend.nameOf(changes)]); // [batch, channels, height, toWidth]
    const result = backend.emit('MatMul', [left, across], { shape: [batch, channels, height, width], dtype: 'float32' });
    return transpose(call, result, [0, 2, 3, 1]);
  });
}

/** Kernels that resize pictures. Their sizes are fixed when a function is compiled where a gradient is taken. */
export const IMAGE_KERNELS: TraceKernels = {
  ResizeBilinear: resize('linear'),
  ResizeBilinearGrad: gradient(linearWeights),
  ResizeNearestNeighbor: resize('nearest'),
  ResizeNearestNeighborGrad: gradient(nearestWeights),
};
