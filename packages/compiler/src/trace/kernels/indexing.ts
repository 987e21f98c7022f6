import type { DataType, TensorInfo } from '@tensorflow/tfjs-core';
import {
  axesOf,
  cast,
  type Graph,
  int64,
  kernel,
  type KernelCall,
  positions,
  reshape,
  scalar,
  type TraceKernels,
  transpose,
} from './kernel.ts';

interface GatherAttributes {
  readonly axis: number;
  readonly batchDims?: number;
}

/** Rows of a stored table are picked first and converted then, not the other way round. */
function gatherRows(
  { backend, builder }: KernelCall<GatherAttributes>,
  x: TensorInfo,
  indices: TensorInfo,
  axis: number,
): TensorInfo {
  const result = { shape: [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)], dtype: x.dtype };
  const stored = backend.weightOf(x);
  if (stored === undefined || stored.type === x.dtype)
    return backend.emit('Gather', [x, indices], result, { attributes: { axis } });
  const rows = builder.operation('Gather', [stored.name, backend.nameOf(indices)], { attributes: { axis } });
  return backend.emit('Cast', [rows], result, { attributes: { to: 1 } });
}

/** Each batch has its own indices. ONNX's GatherND wants the axis that they count along right after the batches. */
function gatherInBatches(
  call: KernelCall<GatherAttributes>,
  x: TensorInfo,
  indices: TensorInfo,
  axis: number,
  batches: number,
): TensorInfo {
  const axes = [...x.shape.keys()];
  const outer = axes.slice(batches, axis);
  const first = transpose(call, x, [...axes.slice(0, batches), axis, ...outer, ...axes.slice(axis + 1)]); // [batches, axis, outer, inner]
  const places = reshape(call, indices, [...indices.shape, 1]);
  const picked = indices.shape.slice(batches);
  const shape = [...x.shape.slice(0, batches), ...picked, ...outer.map((from) => x.shape[from]!), ...x.shape.slice(axis + 1)];
  const settings = { attributes: { batch_dims: batches } };
  const found = call.backend.emit('GatherND', [first, int64(call, places)], { shape, dtype: x.dtype }, settings); // [batches, picked, outer, inner]
  const axesNow = [...shape.keys()];
  const [atPicked, atOuter] = [batches, batches + picked.length];
  const atInner = atOuter + outer.length;
  const order = [...axesNow.slice(0, batches), ...axesNow.slice(atOuter, atInner), ...axesNow.slice(atPicked, atOuter)];
  return transpose(call, found, [...order, ...axesNow.slice(atInner)]); // [batches, outer, picked, inner]
}

/**
 * Which of `depth` classes each index is; none for those out of range. ONNX's OneHot is for some types only, and counts
 * negative indices from the end.
 */
export function classOf(graph: Graph, indices: TensorInfo, depth: number): TensorInfo {
  const classes = graph.builder.operation('Cast', [positions(graph, depth)], { attributes: { to: 6 } });
  const each = reshape(graph, indices, [...indices.shape, 1]);
  return graph.backend.emit('Equal', [each, classes], { shape: [...indices.shape, depth], dtype: 'bool' });
}

/** How many elements of a sorted row are smaller, or not larger: where a value would be put. */
const searchSorted = kernel<{ side: 'left' | 'right' }>((call) => {
  const { backend, builder } = call;
  const { sortedSequence, values } = call.inputs as { sortedSequence: TensorInfo; values: TensorInfo };
  const [batch, length] = sortedSequence.shape as [number, number];
  const sorted = reshape(call, sortedSequence, [batch, 1, length]);
  const sought = reshape(call, values, [batch, values.shape[1]!, 1]);
  const operator = call.attributes.side === 'left' ? 'Less' : 'LessOrEqual';
  const smaller = backend.emit(operator, [sorted, sought], { shape: [batch, values.shape[1]!, length], dtype: 'bool' });
  const counted = [cast(call, smaller, 'int32'), builder.sizes([2])];
  return backend.emit('ReduceSum', counted, { shape: values.shape, dtype: 'int32' }, { attributes: { keepdims: 0 } });
});

/** Kernels that pick elements by index. Indices out of range are an error of ONNX Runtime when the function runs. */
export const INDEXING_KERNELS: TraceKernels = {
  GatherV2: kernel<GatherAttributes>((call) => {
    const { x, indices } = call.inputs as { x: TensorInfo; indices: TensorInfo };
    const { attributes } = call;
    const { batchDims = 0 } = attributes;
    const [axis] = axesOf(attributes.axis, x.shape.length) as [number];
    if (batchDims === 0) return gatherRows(call, x, indices, axis);
    return gatherInBatches(call, x, indices, axis, batchDims < 0 ? batchDims + indices.shape.length : batchDims);
  }),
  GatherNd: kernel((call) => {
    const { params, indices } = call.inputs as { params: TensorInfo; indices: TensorInfo };
    const depth = indices.shape.at(-1)!;
    const shape = [...indices.shape.slice(0, -1), ...params.shape.slice(depth)];
    return call.backend.emit('GatherND', [params, int64(call, indices)], { shape, dtype: params.dtype });
  }),
  OneHot: kernel<{ depth: number; onValue: number; offValue: number; dtype: DataType }>((call) => {
    const { depth, onValue, offValue, dtype = 'float32' } = call.attributes;
    const isClass = classOf(call, call.inputs['indices']!, depth); // [..., depth]
    if (dtype === 'bool' && onValue && !offValue) return isClass;
    const type = dtype === 'bool' ? 'int32' : dtype;
    const result = { shape: isClass.shape, dtype: type };
    return cast(
      call,
      call.backend.emit('Where', [isClass, scalar(call, onValue, type), scalar(call, offValue, type)], result),
      dtype,
    );
  }),
  SearchSorted: searchSorted,
};
