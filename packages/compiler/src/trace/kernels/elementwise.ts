import type { DataType, TensorInfo } from '@tensorflow/tfjs-core';
import { typeCode } from '../trace-backend.ts';
import { broadcastShape, cast, kernel, type KernelCall, type TraceKernel, type TraceKernels } from './kernel.ts';

/** An ONNX operator of two broadcast tensors. */
function binary(operator: string, resultType?: DataType): TraceKernel {
  return kernel(({ inputs, backend }) => {
    const { a, b } = inputs as { a: TensorInfo; b: TensorInfo };
    return backend.emit(operator, [a, b], { shape: broadcastShape(a.shape, b.shape), dtype: resultType ?? a.dtype });
  });
}

/** An ONNX operator of one tensor. */
function unary(operator: string, resultType?: DataType): TraceKernel {
  return kernel(({ inputs, backend }) => {
    const { x } = inputs as { x: TensorInfo };
    return backend.emit(operator, [x], { shape: x.shape, dtype: resultType ?? x.dtype });
  });
}

/** A function of one tensor that takes several ONNX operators: gets and gives names. */
function composed(build: (x: string, call: KernelCall) => string): TraceKernel {
  return kernel((call) => {
    const { x } = call.inputs as { x: TensorInfo };
    return call.backend.tensor(build(call.backend.nameOf(x), call), x);
  });
}

/** A function of two broadcast tensors that takes several ONNX operators. */
function composedBinary(build: (a: string, b: string, call: KernelCall) => string): TraceKernel {
  return kernel((call) => {
    const { a, b } = call.inputs as { a: TensorInfo; b: TensorInfo };
    const name = build(call.backend.nameOf(a), call.backend.nameOf(b), call);
    return call.backend.tensor(name, { shape: broadcastShape(a.shape, b.shape), dtype: a.dtype });
  });
}

/** A constant of the type of the kernel's tensor. */
function like(call: KernelCall, value: number): string {
  const { dtype } = Object.values(call.inputs)[0]!;
  return dtype === 'int32' ? call.builder.constant(Int32Array.of(value), [], 'int32') : call.builder.float(value);
}

/** Kernels that take every element for itself. */
export const ELEMENTWISE_KERNELS: TraceKernels = {
  // of two tensors
  Add: binary('Add'),
  Sub: binary('Sub'),
  Multiply: binary('Mul'),
  RealDiv: binary('Div'),
  Pow: binary('Pow'),
  Maximum: binary('Max'),
  Minimum: binary('Min'),
  SquaredDifference: composedBinary((a, b, { builder }) => {
    const difference = builder.operation('Sub', [a, b]);
    return builder.operation('Mul', [difference, difference]);
  }),
  // tfjs divides whole numbers in float32 and rounds down
  FloorDiv: composedBinary((a, b, call) => {
    const { builder } = call;
    if (Object.values(call.inputs)[0]!.dtype !== 'int32') {
      return builder.operation('Floor', [builder.operation('Div', [a, b])]);
    }
    const [x, y] = [a, b].map((name) => builder.operation('Cast', [name], { attributes: { to: typeCode('float32') } }));
    const quotient = builder.operation('Floor', [builder.operation('Div', [x!, y!])]);
    return builder.operation('Cast', [quotient], { attributes: { to: typeCode('int32') } });
  }),

  // comparisons
  Equal: binary('Equal', 'bool'),
  NotEqual: composedBinary((a, b, { builder }) => builder.operation('Not', [builder.operation('Equal', [a, b])])),
  Greater: binary('Greater', 'bool'),
  GreaterEqual: binary('GreaterOrEqual', 'bool'),
  Less: binary('Less', 'bool'),
  LessEqual: binary('LessOrEqual', 'bool'),
  LogicalAnd: binary('And', 'bool'),
  LogicalOr: binary('Or', 'bool'),
  LogicalNot: unary('Not', 'bool'),

  // of one tensor
  Abs: unary('Abs'),
  Neg: unary('Neg'),
  Exp: unary('Exp'),
  Log: unary('Log'),
  Sqrt: unary('Sqrt'),
  Tanh: unary('Tanh'),
  Sigmoid: unary('Sigmoid'),
  Relu: unary('Relu'),
  Erf: unary('Erf'),
  Sin: unary('Sin'),
  Cos: unary('Cos'),
  Reciprocal: unary('Reciprocal'),
  Sign: unary('Sign'),
  Floor: unary('Floor'),
  Ceil: unary('Ceil'),
  Square: composed((x, { builder }) => builder.operation('Mul', [x, x])),
  Rsqrt: composed((x, { builder }) => builder.operation('Reciprocal', [builder.operation('Sqrt', [x])])),
  Log1p: composed((x, call) => call.builder.operation('Log', [call.builder.operation('Add', [x, like(call, 1)])])),
  Step: kernel<{ alpha?: number }>((call) => {
    const { x } = call.inputs as { x: TensorInfo };
    const { builder, backend } = call;
    const positive = builder.operation('Greater', [backend.nameOf(x), builder.float(0)]);
    const result = builder.operation('Where', [positive, builder.float(1), builder.float(call.attributes.alpha ?? 0)]);
    return backend.tensor(result, x);
  }),

  // selection and types
  Select: kernel(({ inputs, backend, builder }) => {
    const { condition, t, e } = inputs as { condition: TensorInfo; t: TensorInfo; e: TensorInfo };
    // A condition of one axis chooses whole rows.
    const rows = condition.shape.length === 1 && t.shape.length > 1;
    const name = rows
      ? builder.operation('Reshape', [backend.nameOf(condition), builder.sizes([condition.shape[0]!, ...t.shape.slice(1).map(() => 1)])])
      : condition;
    return backend.emit('Where', [name, t, e], { shape: broadcastShape(rows ? [] : condition.shape, broadcastShape(t.shape, e.shape)), dtype: t.dtype });
  }),
  Cast: kernel<{ dtype: DataType }>((call) => {
    const { x } = call.inputs as { x: TensorInfo };
    const { dtype } = call.attributes;
    return x.dtype === dtype ? call.backend.alias(x) : cast(call, x, dtype, typeCode(dtype));
  }),
};
