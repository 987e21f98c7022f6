import { sizeOf } from '@blip2/core';
import { backend_util } from '@tensorflow/tfjs-core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { filled, kernel, type KernelCall, reshape, type TraceKernel, type TraceKernels } from './kernel.ts';
import { channelsFirst, channelsLast, geometryOf, type Spatial } from './spatial.ts';

interface PoolAttributes {
  readonly filterSize: number | number[];
  readonly strides: number | number[];
  readonly pad: 'valid' | 'same' | number | [number, number][];
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

type Call = KernelCall<PoolAttributes>;

function geometry(call: Call, shape: readonly number[]): Spatial {
  const { filterSize, strides, pad, dimRoundingMode } = call.attributes;
  const compute = shape.length === 5 ? backend_util.computePool3DInfo : backend_util.computePool2DInfo;
  return geometryOf(call, compute(shape as never, filterSize as never, strides as never, 1, pad as 'same', dimRoundingMode));
}

function settings({ filter, strides, before, after }: Spatial): { attributes: Record<string, number[]> } {
  return { attributes: { kernel_shape: [...filter], strides: [...strides], pads: [...before, ...after] } };
}

/** The largest or the mean of each window; pixels beyond the edge do not count. */
function pool(operator: 'MaxPool' | 'AveragePool'): TraceKernel {
  return kernel<PoolAttributes>((call) => {
    const x = call.inputs['x']!;
    const spatial = geometry(call, x.shape);
    const pixels = channelsFirst(call, x, spatial);
    const result = { shape: [...pixels.shape.slice(0, 2), ...spatial.output], dtype: x.dtype };
    return channelsLast(call, call.backend.emit(operator, [pixels], result, settings(spatial)), spatial);
  });
}

/** The largest of each window, and where it is: its position among all elements, channels first, int64. */
function poolWithPlaces(call: Call, x: TensorInfo, spatial: Spatial): { values: TensorInfo; places: TensorInfo } {
  const { backend, builder } = call;
  const pixels = channelsFirst(call, x, spatial);
  const shape = [...pixels.shape.slice(0, 2), ...spatial.output];
  const [values, places] = builder.operations('MaxPool', [backend.nameOf(pixels)], 2, settings(spatial)) as [string, string];
  // int64 in the graph, which nothing but ONNX sees
  return { values: backend.tensor(values, { shape, dtype: x.dtype }), places: backend.tensor(places, { shape, dtype: 'int32' }) };
}

/** The gradient of a largest element goes to it, the first of equal ones. */
const maxPoolGradient = kernel<PoolAttributes>((call) => {
  const { backend } = call;
  const { dy, input } = call.inputs as { dy: TensorInfo; input: TensorInfo };
  const spatial = geometry(call, input.shape);
  const changes = channelsFirst(call, dy, spatial);
  const { places } = poolWithPlaces(call, input, spatial);
  const first = [changes.shape[0]!, changes.shape[1]!, ...spatial.input];
  const zeros = filled(call, [sizeOf(first)], 'float32', 0);
  const [at, values] = [places, changes].map((tensor) => reshape(call, tensor, [sizeOf(changes.shape)]));
  const flat = backend.emit('ScatterElements', [zeros, at!, values!], zeros, { attributes: { axis: 0, reduction: 'add' } });
  return channelsLast(call, reshape(call, flat, first), spatial);
});

/**
 * The gradient of a mean goes to all of its window. tfjs divides by the whole window also where part of it lies beyond the
 * edge, unlike the mean itself; so does this.
 */
const averagePoolGradient = kernel<PoolAttributes>((call) => {
  const { backend, builder } = call;
  const { dy, input } = call.inputs as { dy: TensorInfo; input: TensorInfo };
  const spatial = geometry(call, input.shape);
  const changes = channelsFirst(call, dy, spatial);
  const channels = changes.shape[1]!;
  const window = filled(call, [channels, 1, ...spatial.filter], 'float32', 1 / sizeOf(spatial.filter));
  const { strides, before, after, extent, output } = spatial;
  const output_padding = spatial.input.map(
    (size, axis) => size - ((output[axis]! - 1) * strides[axis]! + extent[axis]! - before[axis]! - after[axis]!),
  );
  const attributes = { strides: [...strides], pads: [...before, ...after], group: channels, output_padding };
  const result = { shape: [changes.shape[0]!, channels, ...spatial.input], dtype: dy.dtype };
  const spreadBack = builder.operation('ConvTranspose', [backend.nameOf(changes), backend.nameOf(window)], { attributes });
  return channelsLast(call, backend.tensor(spreadBack, result), spatial);
});

/** Kernels that take one value of each window of a picture. */
export const POOLING_KERNELS: TraceKernels = {
  AvgPool: pool('AveragePool'),
  AvgPool3D: pool('AveragePool'),
  AvgPool3DGrad: averagePoolGradient,
  AvgPoolGrad: averagePoolGradient,
  MaxPool: pool('MaxPool'),
  MaxPool3D: pool('MaxPool'),
  MaxPool3DGrad: maxPoolGradient,
  MaxPoolGrad: maxPoolGradient,
};
