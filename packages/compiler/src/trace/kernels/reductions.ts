import { sizeOf } from '@blip2/core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import {
  axesOf,
  cast,
  filled,
  type Graph,
  kernel,
  type KernelCall,
  reducedShape,
  reshape,
  scalar,
  type TraceKernel,
  type TraceKernels,
  transpose,
} from './kernel.ts';

interface ReductionAttributes {
  readonly axis?: number | readonly number[] | null;
  /** What Max calls its axes. */
  readonly reductionIndices?: number | readonly number[] | null;
  readonly keepDims?: boolean;
}

/** Reduces numbers; the tensor itself when there is nothing to reduce. */
function reduce(operator: string, { backend, builder, attributes }: KernelCall<ReductionAttributes>, x: TensorInfo): TensorInfo {
  const { keepDims = false, axis, reductionIndices = axis } = attributes;
  const axes = axesOf(reductionIndices, x.shape.length);
  if (axes.length === 0) return x;
  const result = { shape: reducedShape(x.shape, axes, keepDims), dtype: x.dtype };
  return backend.emit(operator, [x, builder.sizes(axes)], result, { attributes: { keepdims: keepDims ? 1 : 0 } });
}

function reduction(operator: string): TraceKernel {
  return kernel<ReductionAttributes>((call) => {
    const { x } = call.inputs as { x: TensorInfo };
    if (x.dtype !== 'bool') return reduce(operator, call, x);
    return cast(call, reduce(operator, call, cast(call, x, 'int32')), 'bool');
  });
}

/** ONNX Runtime's largest and smallest elements pass over what is no number, and hide a failure that tfjs shows. */
function extreme(operator: string): TraceKernel {
  return kernel<ReductionAttributes>((call) => {
    const x = call.inputs['x']!;
    if (x.dtype !== 'float32') return cast(call, reduce(operator, call, cast(call, x, 'int32')), x.dtype);
    const { backend } = call;
    const found = reduce(operator, call, x);
    const missing = any(call, backend.emit('IsNaN', [x], { shape: x.shape, dtype: 'bool' }));
    return backend.emit('Where', [missing, scalar(call, Number.NaN, 'float32'), found], found);
  });
}

/** Whether any of the truth values is true, which is also right for none at all. */
function any(call: KernelCall<ReductionAttributes>, x: TensorInfo): TensorInfo {
  return cast(call, reduce('ReduceSum', call, cast(call, x, 'int32')), 'bool');
}

function not({ backend }: Pick<Graph, 'backend'>, x: TensorInfo): TensorInfo {
  return backend.emit('Not', [x], x);
}

/** The index of the largest or smallest element, the first of equal ones. Where all are alike tfjs has int32 and ONNX int64. */
function argument(operator: string): TraceKernel {
  return kernel<{ axis: number | readonly number[] }>((call) => {
    const { backend } = call;
    const numbers = call.inputs['x']!;
    const x = numbers.dtype === 'bool' ? cast(call, numbers, 'int32') : numbers;
    const [axis] = axesOf(call.attributes.axis, x.shape.length) as [number];
    const index = backend.builder.operation(operator, [backend.nameOf(x)], { attributes: { axis, keepdims: 0 } });
    return backend.emit(
      'Cast',
      [index],
      { shape: reducedShape(x.shape, [axis], false), dtype: 'int32' },
      { attributes: { to: 6 } },
    );
  });
}

interface CumulativeAttributes {
  readonly axis: number;
  readonly exclusive: boolean;
  readonly reverse: boolean;
}

/** Running sums and products of truth values are whole numbers. */
function countable(call: KernelCall<CumulativeAttributes>): TensorInfo {
  const x = call.inputs['x']!;
  return x.dtype === 'bool' ? cast(call, x, 'int32') : x;
}

/**
 * Running products. ONNX has none, so each is the product of a row of a triangle: memory grows with the square of the axis,
 * which only the gradient of tf.prod and small axes ask for.
 */
const cumulativeProduct = kernel<CumulativeAttributes>((call) => {
  const { backend, builder } = call;
  const x = countable(call);
  const { exclusive, reverse } = call.attributes;
  const rank = x.shape.length;
  const [axis] = axesOf(call.attributes.axis, rank) as [number];
  const order = [...x.shape.keys()].filter((other) => other !== axis);
  const last = transpose(call, x, [...order, axis]); // [..., axis]
  const size = builder.sizes([x.shape[axis]!, x.shape[axis]!]);
  const all = builder.operation('Expand', [scalar(call, 1, 'int32'), size]);
  // Row i has the elements up to i, or from i on.
  const shift = exclusive ? (reverse ? 1 : -1) : 0;
  const triangle = builder.operation('Trilu', [all, builder.size(shift)], { attributes: { upper: reverse ? 1 : 0 } });
  const chosen = builder.operation('Cast', [triangle], { attributes: { to: 9 } });
  const rows = builder.operation('Unsqueeze', [backend.nameOf(last), builder.sizes([rank - 1])]); // [..., 1, axis]
  const factors = builder.operation('Where', [chosen, rows, scalar(call, 1, x.dtype)]); // [..., axis, axis]
  const attributes = { attributes: { keepdims: 0 } };
  const products = backend.emit('ReduceProd', [factors, builder.sizes([rank])], last, attributes);
  return transpose(
    call,
    products,
    [...x.shape.keys()].map((from) => (from === axis ? rank - 1 : order.indexOf(from))),
  );
});

/** Kernels that reduce axes, and those that go along one. */
export const REDUCTION_KERNELS: TraceKernels = {
  All: kernel<ReductionAttributes>((call) => not(call, any(call, not(call, call.inputs['x']!)))),
  Any: kernel<ReductionAttributes>((call) => any(call, call.inputs['x']!)),
  ArgMax: argument('ArgMax'),
  ArgMin: argument('ArgMin'),
  Cumprod: cumulativeProduct,
  Cumsum: kernel<CumulativeAttributes>((call) => {
    const { exclusive, reverse, axis } = call.attributes;
    const x = countable(call);
    const attributes = { exclusive: exclusive ? 1 : 0, reverse: reverse ? 1 : 0 };
    const [along] = axesOf(axis, x.shape.length) as [number];
    return call.backend.emit('CumSum', [x, call.builder.size(along)], x, { attributes });
  }),
  Max: extreme('ReduceMax'),
  Mean: kernel<ReductionAttributes>((call) => reduce('ReduceMean', call, cast(call, call.inputs['x']!, 'float32'))),
  Min: extreme('ReduceMin'),
  Prod: reduction('ReduceProd'),
  Softmax: kernel<{ dim: number }>(({ inputs, attributes, backend }) => {
    const logits = inputs['logits']!;
    return backend.emit('Softmax', [logits], logits, { attributes: { axis: attributes.dim } });
  }),
  Sum: reduction('ReduceSum'),
  TopK: kernel<{ k: number; sorted: boolean }>((call) => {
    const { attributes, backend, builder } = call;
    const x = call.inputs['x']!;
    const { k, sorted } = attributes;
    const [rows, columns] = [sizeOf(x.shape.slice(0, -1)), x.shape.at(-1)!];
    // One row more than asked for: ONNX Runtime's TopK of no rows stops the process.
    const more = [reshape(call, x, [rows, columns]), filled(call, [1, columns], x.dtype, 0)];
    const padded = builder.operation(
      'Concat',
      more.map((part) => backend.nameOf(part)),
      { attributes: { axis: 0 } },
    );
    const settings = { attributes: { axis: -1, largest: 1, sorted: sorted ? 1 : 0 } };
    const [values, indices] = builder.operations('TopK', [padded, builder.sizes([k])], 2, settings) as [string, string];
    const found = { shape: [rows, k], dtype: x.dtype };
    const cut = [0, rows, 0].map((position) => builder.sizes([position]));
    const shape = [...x.shape.slice(0, -1), k];
    const [best, places] = [values, indices].map((name) => reshape(call, backend.emit('Slice', [name, ...cut], found), shape));
    return [best!, backend.emit('Cast', [places!], { shape, dtype: 'int32' }, { attributes: { to: 6 } })];
  }),
};
