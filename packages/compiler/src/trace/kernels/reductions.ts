import type { DataType, TensorInfo } from '@tensorflow/tfjs-core';
import { typeCode } from '../trace-backend.ts';
import { axesOf, kernel, reducedShape, type TraceKernel, type TraceKernels } from './kernel.ts';

interface ReductionAttributes {
  readonly axis?: number | readonly number[];
  readonly keepDims?: boolean;
}

function reduction(operator: string): TraceKernel {
  return kernel<ReductionAttributes>(({ inputs, attributes, backend, builder }) => {
    const { x } = inputs as { x: TensorInfo };
    const { keepDims = false } = attributes;
    const axes = axesOf(attributes.axis, x.shape.length);
    const result = { shape: reducedShape(x.shape, axes, keepDims), dtype: x.dtype };
    if (axes.length === 0) return backend.alias(x);
    return backend.emit(operator, [x, builder.sizes(axes)], result, { attributes: { keepdims: keepDims ? 1 : 0 } });
  });
}

/** The index of the largest or smallest element: tfjs numbers are int32. */
function argument(operator: string): TraceKernel {
  return kernel<{ axis: number }>(({ inputs, attributes, backend }) => {
    const { x } = inputs as { x: TensorInfo };
    const [axis] = axesOf(attributes.axis, x.shape.length) as [number];
    const shape = reducedShape(x.shape, [axis], false);
    const index = backend.builder.operation(operator, [backend.nameOf(x)], { attributes: { axis, keepdims: 0 } });
    return backend.emit('Cast', [index], { shape, dtype: 'int32' as DataType }, { attributes: { to: typeCode('int32') } });
  });
}

/** Kernels that reduce axes, and those that normalise along one. */
export const REDUCTION_KERNELS: TraceKernels = {
  Sum: reduction('ReduceSum'),
  Mean: reduction('ReduceMean'),
  Max: reduction('ReduceMax'),
  Min: reduction('ReduceMin'),
  Prod: reduction('ReduceProd'),
  ArgMax: argument('ArgMax'),
  ArgMin: argument('ArgMin'),
  Softmax: kernel<{ dim: number }>(({ inputs, attributes, backend }) => {
    const { logits } = inputs as { logits: TensorInfo };
    return backend.emit('Softmax', [logits], logits, { attributes: { axis: attributes.dim } });
  }),
  LogSoftmax: kernel<{ axis: number }>(({ inputs, attributes, backend }) => {
    const { logits } = inputs as { logits: TensorInfo };
    return backend.emit('LogSoftmax', [logits], logits, { attributes: { axis: attributes.axis } });
  }),
};
