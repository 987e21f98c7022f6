import type { DataType } from '@tensorflow/tfjs-core';
import {
  cast,
  elementwise,
  type ElementwiseCall,
  type ElementwiseTypes,
  kernel,
  type TraceKernel,
  type TraceKernels,
} from './kernel.ts';

/** An ONNX operator of one tensor. */
function operator(name: string, types: ElementwiseTypes = {}): TraceKernel {
  return elementwise(['x'], (operands, { builder }) => builder.operation(name, operands), types);
}

/** A function of one tensor that takes several ONNX operators. */
function composed<Attributes = Record<string, unknown>>(
  build: (x: string, call: ElementwiseCall<Attributes>) => string,
  types: ElementwiseTypes = {},
): TraceKernel {
  return elementwise<Attributes>(['x'], ([x], call) => build(x!, call), types);
}

/**
 * log(1 + x) to full precision for small x, where 1 + x has few of its digits left: log(u)·x/(u − 1) with u = 1 + x as
 * it was rounded. Source: Goldberg, "What every computer scientist should know about floating-point arithmetic", theorem 4.
 */
function log1p(x: string, { builder, number }: ElementwiseCall<unknown>): string {
  const sum = builder.operation('Add', [x, number(1)]);
  const logarithm = builder.operation('Log', [sum]);
  const rounded = builder.operation('Sub', [sum, number(1)]);
  const corrected = builder.operation('Mul', [logarithm, builder.operation('Div', [x, rounded])]);
  const isLost = builder.operation('Equal', [rounded, number(0)]);
  const isSmall = builder.operation('Less', [builder.operation('Abs', [x]), number(0.5)]);
  const small = builder.operation('Where', [isLost, x, corrected]);
  return builder.operation('Where', [isSmall, small, logarithm]);
}

/** eˣ − 1 to full precision for small x: 2t/(1 − t) with t = tanh(x/2). */
function expm1(x: string, { builder, number }: ElementwiseCall<unknown>): string {
  const tangent = builder.operation('Tanh', [builder.operation('Mul', [x, number(0.5)])]);
  const small = builder.operation('Div', [
    builder.operation('Mul', [tangent, number(2)]),
    builder.operation('Sub', [number(1), tangent]),
  ]);
  const isSmall = builder.operation('Less', [builder.operation('Abs', [x]), number(0.5)]);
  const large = builder.operation('Sub', [builder.operation('Exp', [x]), number(1)]);
  return builder.operation('Where', [isSmall, small, large]);
}

/** Kernels of one tensor that take every element for itself. */
export const FUNCTION_KERNELS: TraceKernels = {
  Abs: operator('Abs', { whole: true }),
  Acos: operator('Acos'),
  Acosh: operator('Acosh'),
  Asin: operator('Asin'),
  Asinh: operator('Asinh'),
  Atan: operator('Atan'),
  Atanh: operator('Atanh'),
  Ceil: operator('Ceil'),
  Cos: operator('Cos'),
  Cosh: operator('Cosh'),
  Erf: operator('Erf'),
  Exp: operator('Exp', { result: 'float32' }),
  Expm1: composed(expm1),
  Floor: operator('Floor'),
  Log: operator('Log'),
  Log1p: composed(log1p),
  Neg: operator('Neg', { whole: true }),
  Reciprocal: operator('Reciprocal'),
  Round: operator('Round'), // to even, as tfjs
  Rsqrt: composed((x, { builder }) => builder.operation('Reciprocal', [builder.operation('Sqrt', [x])])),
  // 0 for what is no number, unlike ONNX's own
  Sign: composed(
    (x, { builder, number }) => {
      const above = builder.operation('Where', [builder.operation('Greater', [x, number(0)]), number(1), number(0)]);
      return builder.operation('Where', [builder.operation('Less', [x, number(0)]), number(-1), above]);
    },
    { whole: true },
  ),
  Sin: operator('Sin'),
  Sinh: operator('Sinh'),
  Sqrt: operator('Sqrt'),
  Square: composed((x, { builder }) => builder.operation('Mul', [x, x]), { whole: true }),
  Tan: operator('Tan'),
  Tanh: operator('Tanh'),
  ClipByValue: composed<{ clipValueMin: number; clipValueMax: number }>(
    (x, { builder, number, attributes }) => {
      return builder.operation('Clip', [x, number(attributes.clipValueMin), number(attributes.clipValueMax)]);
    },
    { whole: true },
  ),
  Cast: kernel<{ dtype: DataType }>((call) => cast(call, call.inputs['x']!, call.attributes.dtype)),
};
