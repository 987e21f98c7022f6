import type { DataType } from '@tensorflow/tfjs-core';
import { cast, filled, kernel, positions, scalar, type TraceKernels } from './kernel.ts';

/** Kernels that make tensors of nothing but a shape or a few numbers. */
export const CREATION_KERNELS: TraceKernels = {
  // x on the diagonal of a square of twice its axes, zeros elsewhere
  Diag: kernel((call) => {
    const { backend, builder } = call;
    const x = call.inputs['x']!;
    const count = x.shape.reduce((product, size) => product * size, 1);
    const order = positions(call, count);
    const column = builder.operation('Unsqueeze', [order, builder.sizes([1])]); // [count, 1]
    const isDiagonal = builder.operation('Equal', [column, order]); // [count, count]
    const flat = builder.operation('Reshape', [backend.nameOf(x), builder.sizes([count])], { attributes: { allowzero: 1 } });
    const square = builder.operation('Where', [isDiagonal, flat, scalar(call, 0, x.dtype)]); // [count, count]
    const shape = [...x.shape, ...x.shape];
    return backend.emit('Reshape', [square, builder.sizes(shape)], { shape, dtype: x.dtype }, { attributes: { allowzero: 1 } });
  }),
  Fill: kernel<{ shape: number[]; value: number; dtype: DataType }>((call) => {
    const { shape, value, dtype } = call.attributes;
    return filled(call, shape, dtype ?? 'float32', value);
  }),
  LinSpace: kernel<{ start: number; stop: number; num: number }>((call) => {
    const { backend, builder } = call;
    const { start, stop, num } = call.attributes;
    // The count may follow from a size, so the step between two numbers is computed.
    const [index, last] = [positions(call, num), builder.size(num - 1)].map((name) =>
      builder.operation('Cast', [name], { attributes: { to: 1 } }),
    );
    const step = builder.operation('Div', [builder.float(stop - start), builder.operation('Max', [last!, builder.float(1)])]);
    return backend.emit('Add', [builder.operation('Mul', [index!, step]), builder.float(start)], {
      shape: [num],
      dtype: 'float32',
    });
  }),
  OnesLike: kernel((call) => filled(call, call.inputs['x']!.shape, call.inputs['x']!.dtype, 1)),
  Range: kernel<{ start: number; stop: number; step: number; dtype: DataType }>((call) => {
    const { backend, builder } = call;
    const { start, stop, step, dtype } = call.attributes;
    const length = Math.max(0, Math.ceil((stop - start) / step));
    const result = { shape: [length], dtype };
    if ([start, stop, step].every(Number.isInteger)) {
      const range = builder.operation('Range', [builder.size(start), builder.size(stop), builder.size(step)]);
      return backend.emit('Cast', [range], result, { attributes: { to: dtype === 'int32' ? 6 : 1 } });
    }
    const steps = builder.operation('Cast', [positions(call, length)], { attributes: { to: 1 } });
    const scaled = builder.operation('Mul', [steps, builder.float(step)]);
    return cast(call, backend.emit('Add', [scaled, builder.float(start)], { shape: [length], dtype: 'float32' }), dtype);
  }),
  ZerosLike: kernel((call) => filled(call, call.inputs['x']!.shape, call.inputs['x']!.dtype, 0)),
};
