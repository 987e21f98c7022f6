import { backend_util } from '@tensorflow/tfjs-core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { activate, type ActivationAttributes } from './activations.ts';
import {
  broadcastShape,
  type Graph,
  kernel,
  type KernelCall,
  reshape,
  type TraceKernel,
  type TraceKernels,
  transpose,
} from './kernel.ts';
import { channelsFirst, channelsLast, geometryOf, type Spatial } from './spatial.ts';

interface ConvolutionAttributes {
  readonly strides: number | number[];
  readonly pad: 'valid' | 'same' | number | [number, number][];
  readonly dataFormat?: 'NHWC' | 'NCHW' | 'NDHWC';
  readonly dilations?: number | number[] | null;
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil';
  readonly inputShape: number[];
  readonly filterShape: number[];
}

type Call = KernelCall<ConvolutionAttributes>;

/** What tfjs computes of a convolution's attributes: padding and the sizes of the result. */
function geometry(call: Call, input: readonly number[], filter: readonly number[], depthwise: boolean): Spatial {
  const { strides, pad, dilations, dimRoundingMode, dataFormat } = call.attributes;
  if (input.length === 5)
    return geometryOf(
      call,
      backend_util.computeConv3DInfo(
        input as never,
        filter as never,
        strides as number,
        (dilations ?? 1) as number,
        pad as 'same',
      ),
    );
  const format = backend_util.convertConv2DDataFormat((dataFormat ?? 'NHWC') as 'NHWC');
  return geometryOf(
    call,
    backend_util.computeConv2DInfo(
      input as never,
      filter as never,
      strides as number,
      (dilations ?? 1) as number,
      pad as 'same',
      dimRoundingMode,
      depthwise,
      format,
    ),
  );
}

/** Filters as ONNX has them: outputs, inputs of each group, and space; tfjs has space first. */
function filterFirst(graph: Graph, filter: TensorInfo, depthwise: boolean): TensorInfo {
  const space = filter.shape.length - 2;
  const axes = [...Array(space).keys()];
  if (!depthwise) return transpose(graph, filter, [space + 1, space, ...axes]); // [outputs, inputs, ...]
  // [height, width, channels, multiplier]: outputs are channels times multiplier, each of one input.
  const [channels, multiplier] = filter.shape.slice(-2) as [number, number];
  const first = transpose(graph, filter, [space, space + 1, ...axes]);
  return reshape(graph, first, [channels * multiplier, 1, ...filter.shape.slice(0, space)]);
}

/** Attributes that Conv and ConvTranspose share. */
function settings(
  { strides, dilations, before, after }: Spatial,
  group: number,
): { attributes: Record<string, number | number[]> } {
  return { attributes: { strides: [...strides], dilations: [...dilations], pads: [...before, ...after], group } };
}

function convolve(call: Call, depthwise: boolean): TensorInfo {
  const { x, filter } = call.inputs as { x: TensorInfo; filter: TensorInfo };
  const spatial = geometry(call, x.shape, filter.shape, depthwise);
  const pixels = channelsFirst(call, x, spatial);
  const filters = filterFirst(call, filter, depthwise);
  const result = { shape: [pixels.shape[0]!, filters.shape[0]!, ...spatial.output], dtype: x.dtype };
  const group = depthwise ? pixels.shape[1]! : 1;
  return channelsLast(call, call.backend.emit('Conv', [pixels, filters], result, settings(spatial, group)), spatial);
}

/** The gradient by the picture: every element goes back to where it was taken from. */
function convolveBack(call: Call, depthwise: boolean): TensorInfo {
  const { dy, filter } = call.inputs as { dy: TensorInfo; filter: TensorInfo };
  const spatial = geometry(call, call.attributes.inputShape, filter.shape, depthwise);
  const changes = channelsFirst(call, dy, spatial);
  const filters = filterFirst(call, filter, depthwise);
  const channels = filter.shape.at(-2)!;
  const result = { shape: [changes.shape[0]!, channels, ...spatial.input], dtype: dy.dtype };
  const { attributes } = settings(spatial, depthwise ? channels : 1);
  // Pixels at the end that no window reached.
  const output_padding = spatial.input.map((size, axis) => {
    const { strides, output, extent, before, after } = spatial;
    return size - ((output[axis]! - 1) * strides[axis]! + extent[axis]! - before[axis]! - after[axis]!);
  });
  return channelsLast(
    call,
    call.backend.emit('ConvTranspose', [changes, filters], result, { attributes: { ...attributes, output_padding } }),
    spatial,
  );
}

/**
 * The gradient by the filter is a convolution as well: of the picture by the changes of the result, with batches in place
 * of channels, steps in place of dilations.
 */
function convolveForFilter(call: Call, depthwise: boolean): TensorInfo {
  const { backend, builder } = call;
  const { x, dy } = call.inputs as { x: TensorInfo; dy: TensorInfo };
  const { filterShape } = call.attributes;
  const spatial = geometry(call, x.shape, filterShape, depthwise);
  const axes = spatial.input.map((_, axis) => axis);
  const swap = (tensor: TensorInfo): TensorInfo => transpose(call, tensor, [1, 0, ...axes.map((axis) => axis + 2)]);
  const [pixels, changes] = [x, dy].map((tensor) => swap(channelsFirst(call, tensor, spatial))) as [TensorInfo, TensorInfo]; // [channels, batch, ...]
  const [inputs, batch, ...space] = pixels.shape as [number, number, ...number[]];
  // Depthwise: one group for each channel, with its batches as inputs.
  const picture = depthwise ? reshape(call, pixels, [1, inputs * batch, ...space]) : pixels;
  const reached = axes.map(
    (axis) =>
      spatial.input[axis]! + spatial.before[axis]! + spatial.after[axis]! - (spatial.output[axis]! - 1) * spatial.strides[axis]!,
  );
  const sizes = reached.map((size, axis) => Math.floor((size - 1) / spatial.dilations[axis]!) + 1);
  const result = { shape: [picture.shape[0]!, changes.shape[0]!, ...sizes], dtype: x.dtype };
  const turned = settings({ ...spatial, strides: spatial.dilations, dilations: spatial.strides }, depthwise ? inputs : 1);
  const all = backend.emit('Conv', [picture, changes], result, turned); // [inputs or 1, outputs, ...]
  // Places of the filter that only pixels beyond the last window reach are no part of it.
  const wanted = filterShape.slice(0, -2);
  const cut = [axes.map(() => 0), wanted, axes.map((axis) => axis + 2)].map((values) => builder.sizes(values));
  const kept =
    sizes.join() === wanted.join()
      ? all
      : backend.emit('Slice', [all, ...cut], { shape: [...all.shape.slice(0, 2), ...wanted], dtype: x.dtype });
  const channels = depthwise ? reshape(call, kept, [...filterShape.slice(-2), ...wanted]) : kept; // [inputs, outputs, ...]
  return transpose(call, channels, [...axes.map((axis) => axis + 2), 0, 1]);
}

/** A convolution with a bias and an activation. In NCHW those of one axis belong to the channels. */
function fused(depthwise: boolean): TraceKernel {
  return kernel<ConvolutionAttributes & ActivationAttributes>((call) => {
    const { bias, preluActivationWeights } = call.inputs as { bias?: TensorInfo; preluActivationWeights?: TensorInfo };
    const convolved = convolve(call, depthwise);
    const aligned = (tensor: TensorInfo | undefined): TensorInfo | undefined => {
      const isForChannels = call.attributes.dataFormat === 'NCHW' && tensor?.shape.length === 1 && tensor.shape[0] !== 1;
      return isForChannels ? reshape(call, tensor!, [tensor!.shape[0]!, 1, 1]) : tensor;
    };
    const offset = aligned(bias);
    const result = offset && { shape: broadcastShape(convolved.shape, offset.shape), dtype: convolved.dtype };
    const biased = offset ? call.backend.emit('Add', [convolved, offset], result!) : convolved;
    return activate(call, biased, aligned(preluActivationWeights));
  });
}

const forward = (depthwise: boolean): TraceKernel => kernel<ConvolutionAttributes>((call) => convolve(call, depthwise));
const backward = (depthwise: boolean): TraceKernel => kernel<ConvolutionAttributes>((call) => convolveBack(call, depthwise));
const forFilter = (depthwise: boolean): TraceKernel =>
  kernel<ConvolutionAttributes>((call) => convolveForFilter(call, depthwise));

/** Kernels of convolutional networks. Sizes of pictures and filters are fixed when a function is compiled; batches are not. */
export const CONVOLUTION_KERNELS: TraceKernels = {
  Conv2D: forward(false),
  Conv2DBackpropFilter: forFilter(false),
  Conv2DBackpropInput: backward(false),
  Conv3D: forward(false),
  Conv3DBackpropFilterV2: forFilter(false),
  Conv3DBackpropInputV2: backward(false),
  DepthwiseConv2dNative: forward(true),
  DepthwiseConv2dNativeBackpropFilter: forFilter(true),
  DepthwiseConv2dNativeBackpropInput: backward(true),
  FusedBatchNorm: kernel<{ varianceEpsilon: number }>(({ inputs, attributes, backend, builder }) => {
    const { x, mean, variance, scale, offset } = inputs as Record<string, TensorInfo | undefined> & { x: TensorInfo };
    const name = (tensor: TensorInfo): string => backend.nameOf(tensor);
    const spread = builder.operation('Sqrt', [
      builder.operation('Add', [name(variance!), builder.float(attributes.varianceEpsilon)]),
    ]);
    const factor = scale ? builder.operation('Div', [name(scale), spread]) : builder.operation('Reciprocal', [spread]);
    const scaled = builder.operation('Mul', [builder.operation('Sub', [name(x), name(mean!)]), factor]);
    return offset ? backend.emit('Add', [scaled, offset], x) : backend.tensor(scaled, x);
  }),
  FusedConv2D: fused(false),
  FusedDepthwiseConv2D: fused(true),
};
