import type { DataType, TensorInfo } from '@tensorflow/tfjs-core';
import { onnxType } from '../trace-backend.ts';
import { axesOf, kernel, type TraceKernels } from './kernel.ts';

/** Kernels that pick and place elements by index. Indices out of range are an error of ONNX Runtime when the function runs. */
export const INDEXING_KERNELS: TraceKernels = {
  GatherV2: kernel<{ axis: number; batchDims: number }>(({ inputs, attributes, backend, builder }) => {
    const { x, indices } = inputs as { x: TensorInfo; indices: TensorInfo };
    const [axis] = axesOf(attributes.axis, x.shape.length) as [number];
    const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
    const stored = backend.weightOf(x);
    if (stored === undefined || stored.type === x.dtype) {
      return backend.emit('Gather', [x, indices], { shape, dtype: x.dtype }, { attributes: { axis } });
    }
    // Rows of a stored table are picked first and converted then, not the other way round.
    const rows = builder.operation('Gather', [stored.name, backend.nameOf(indices)], { attributes: { axis } });
    return backend.emit('Cast', [rows], { shape, dtype: x.dtype }, { attributes: { to: 1 } });
  }),
  GatherNd: kernel(({ inputs, backend, builder }) => {
    const { params, indices } = inputs as { params: TensorInfo; indices: TensorInfo };
    const depth = indices.shape.at(-1)!;
    const shape = [...indices.shape.slice(0, -1), ...params.shape.slice(depth)];
    const whole = builder.operation('Cast', [backend.nameOf(indices)], { attributes: { to: 7 } });
    return backend.emit('GatherND', [params, whole], { shape, dtype: params.dtype });
  }),
  OneHot: kernel<{ depth: number; onValue: number; offValue: number; dtype: DataType }>(
    ({ inputs, attributes, backend, builder }) => {
      const indices = inputs['indices']!;
      const { depth, onValue, offValue, dtype = 'float32' } = attributes;
      const values = dtype === 'float32' ? Float32Array.of(offValue, onValue) : Int32Array.of(offValue, onValue);
      const pair = builder.constant(values, [2], onnxType(dtype));
      return backend.emit('OneHot', [indices, builder.size(depth), pair], { shape: [...indices.shape, depth], dtype });
    },
  ),
  // The gradient of a lookup: rows are added where they came from.
  UnsortedSegmentSum: kernel<{ numSegments: number }>(({ inputs, attributes, backend, builder }) => {
    const { x, segmentIds } = inputs as { x: TensorInfo; segmentIds: TensorInfo };
    const shape = [attributes.numSegments, ...x.shape.slice(segmentIds.shape.length)];
    const zero = builder.constant(x.dtype === 'int32' ? Int32Array.of(0) : Float32Array.of(0), [], onnxType(x.dtype));
    const zeros = builder.operation('Expand', [zero, builder.sizes(shape)]);
    const whole = builder.operation('Cast', [backend.nameOf(segmentIds)], { attributes: { to: 7 } });
    const places = builder.operation('Reshape', [whole, builder.sizes([...segmentIds.shape, 1])]);
    return backend.emit('ScatterND', [zeros, places, x], { shape, dtype: x.dtype }, { attributes: { reduction: 'add' } });
  }),
};
