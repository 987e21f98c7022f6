import { sizeOf } from '@blip2/core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { classOf } from './indexing.ts';
import { cast, filled, int64, kernel, type KernelCall, reshape, scalar, type TraceKernel, type TraceKernels } from './kernel.ts';

/** tfjs also takes one index, or a list of them, for places with one coordinate. */
function places(call: KernelCall<unknown>, indices: TensorInfo): TensorInfo {
  const { shape } = indices;
  if (shape.length >= 2) return indices;
  return reshape(call, indices, [shape[0] ?? 1, 1]);
}

/** Puts or adds updates into a tensor; one update may serve all places. ONNX Runtime scatters no truth values. */
function scatter(
  call: KernelCall<unknown>,
  into: TensorInfo,
  indices: TensorInfo,
  updates: TensorInfo,
  reduction: 'none' | 'add',
): TensorInfo {
  const { backend, builder } = call;
  const at = places(call, indices);
  const shape = [...at.shape.slice(0, -1), ...into.shape.slice(at.shape.at(-1)!)];
  const [target, source] = [into, updates].map((tensor) => (tensor.dtype === 'bool' ? cast(call, tensor, 'int32') : tensor)) as [
    TensorInfo,
    TensorInfo,
  ];
  const spread =
    source.shape.length === 0
      ? backend.emit('Expand', [source, builder.sizes(shape)], { shape, dtype: source.dtype })
      : reshape(call, source, shape);
  return cast(
    call,
    backend.emit('ScatterND', [target, int64(call, at), spread], target, { attributes: { reduction } }),
    into.dtype,
  );
}

/** Adds rows where their numbers say; rows of a number that does not exist go nowhere. The gradient of a lookup. */
const segmentSum = kernel<{ numSegments: number }>((call) => {
  const { backend, builder } = call;
  const { x, segmentIds } = call.inputs as { x: TensorInfo; segmentIds: TensorInfo };
  const { numSegments } = call.attributes;
  const rank = segmentIds.shape.length;
  const ids = backend.nameOf(segmentIds);
  const last = builder.operation('Cast', [builder.size(numSegments - 1)], { attributes: { to: 6 } });
  const outside = builder.operation('Or', [
    builder.operation('Less', [ids, scalar(call, 0, 'int32')]),
    builder.operation('Greater', [ids, last]),
  ]);
  const kept = backend.emit('Where', [outside, scalar(call, 0, 'int32'), ids], segmentIds);
  const mask = reshape(call, backend.tensor(outside, { shape: segmentIds.shape, dtype: 'bool' }), [
    ...segmentIds.shape,
    ...x.shape.slice(rank).map(() => 1),
  ]);
  // tfjs adds whole numbers as fractions as well
  const rows = backend.emit('Where', [mask, scalar(call, 0, 'float32'), cast(call, x, 'float32')], {
    shape: x.shape,
    dtype: 'float32',
  });
  const zeros = filled(call, [numSegments, ...x.shape.slice(rank)], 'float32', 0);
  return scatter(call, zeros, reshape(call, kept, [...segmentIds.shape, 1]), rows, 'add');
});

interface BincountAttributes {
  readonly size: number;
  readonly binaryOutput?: boolean;
}

/** How often each number occurs in a row, or the weights of its places added up; numbers from `size` on do not count. */
const bincount: TraceKernel = kernel<BincountAttributes>((call) => {
  const { backend, builder } = call;
  const { x, weights } = call.inputs as { x: TensorInfo; weights: TensorInfo };
  const { size, binaryOutput = false } = call.attributes;
  const rows = x.shape.slice(0, -1);
  const shape = [...rows, size];
  const rank = x.shape.length;
  const type = weights.dtype === 'float32' ? 'float32' : 'int32';
  const occurs = backend.nameOf(cast(call, classOf(call, x, size), type)); // [rows, places, size]
  const isWeighted = weights.shape.length === rank && sizeOf(weights.shape) > 0 && !binaryOutput;
  const weighed = isWeighted ? backend.nameOf(reshape(call, weights, [...weights.shape, 1])) : undefined;
  const counts = weighed === undefined ? occurs : builder.operation('Mul', [occurs, weighed]);
  const sums = backend.emit(
    'ReduceSum',
    [counts, builder.sizes([rank - 1])],
    { shape, dtype: type },
    { attributes: { keepdims: 0 } },
  );
  if (!binaryOutput) return sums;
  const found = backend.emit('Greater', [sums, scalar(call, 0, type)], { shape, dtype: 'bool' });
  return cast(call, found, type);
});

/** Kernels that put elements in places given by index, or add them there. */
export const SCATTER_KERNELS: TraceKernels = {
  Bincount: bincount,
  DenseBincount: bincount,
  ScatterNd: kernel<{ shape: number[] }>((call) => {
    const { indices, updates } = call.inputs as { indices: TensorInfo; updates: TensorInfo };
    return scatter(call, filled(call, call.attributes.shape, updates.dtype, 0), indices, updates, 'add');
  }),
  SparseToDense: kernel<{ outputShape: number[] }>((call) => {
    const { sparseIndices, sparseValues, defaultValue } = call.inputs as Record<string, TensorInfo>;
    const shape = call.attributes.outputShape;
    const background = cast(call, defaultValue!, sparseValues!.dtype);
    const whole = call.backend.emit('Expand', [background, call.builder.sizes(shape)], { shape, dtype: sparseValues!.dtype });
    return scatter(call, whole, sparseIndices!, sparseValues!, 'none');
  }),
  TensorScatterUpdate: kernel((call) => {
    const { tensor, indices, updates } = call.inputs as Record<string, TensorInfo>;
    return scatter(call, tensor!, indices!, updates!, 'none');
  }),
  UnsortedSegmentSum: segmentSum,
};
