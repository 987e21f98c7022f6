import type { TensorInfo } from '@tensorflow/tfjs-core';
import { cast, elementwise, type ElementwiseCall, kernel, type TraceKernel, type TraceKernels } from './kernel.ts';

const PAIR = ['a', 'b'] as const;

/** An ONNX operator of two tensors that knows whole numbers. */
function operator(name: string): TraceKernel {
  return elementwise(PAIR, (operands, { builder }) => builder.operation(name, operands), { whole: true });
}

/** `TensorProto.DataType` of float64. */
const FLOAT64 = 11;
const INT32 = 6;

/**
 * A division of whole numbers by way of float64, which holds every int32: ONNX Runtime's own stops the process when it
 * divides by zero.
 */
function wholeQuotient([a, b]: readonly string[], { builder }: Pick<ElementwiseCall<unknown>, 'builder'>): string {
  const [x, y] = [a!, b!].map((name) => builder.operation('Cast', [name], { attributes: { to: FLOAT64 } }));
  return builder.operation('Floor', [builder.operation('Div', [x!, y!])]);
}

/** tfjs rounds down, where ONNX's `fmod` rounds towards zero: the result has the sign of the divisor. */
function floorModulo([a, b]: readonly string[], call: ElementwiseCall<unknown>): string {
  const { builder, number } = call;
  const modulo = (x: string): string => builder.operation('Mod', [x, b!], { attributes: { fmod: 1 } });
  const rest = modulo(a!);
  const [below, divisorBelow] = [a!, b!].map((name) => builder.operation('Less', [name, number(0)]));
  const differ = builder.operation('Xor', [below!, divisorBelow!]);
  return builder.operation('Where', [differ, modulo(builder.operation('Add', [rest, b!])), rest]);
}

/** The angle of the point (b, a), except that two infinities or two zeros of any sign have no quarter: NaN and 0. */
function atan2([a, b]: readonly string[], { builder, number }: ElementwiseCall<unknown>): string {
  const [above, left] = [builder.operation('Less', [a!, number(0)]), builder.operation('Less', [b!, number(0)])];
  const half = (size: number): string => builder.operation('Where', [above, number(-size), number(size)]);
  const slope = builder.operation('Atan', [builder.operation('Div', [a!, b!])]);
  const turned = builder.operation('Where', [left, builder.operation('Add', [slope, half(Math.PI)]), slope]);
  const [onAxis, atOrigin] = [b!, a!].map((name) => builder.operation('Equal', [name, number(0)]));
  const upright = builder.operation('Where', [atOrigin!, number(0), half(Math.PI / 2)]);
  // x/0 has the sign of the zero, which does not count here. A missing number stays one.
  const known = builder.operation('And', [onAxis!, builder.operation('Equal', [a!, a!])]);
  return builder.operation('Where', [known, upright, turned]);
}

/** Kernels that calculate with two tensors, element by element. */
export const ARITHMETIC_KERNELS: TraceKernels = {
  Add: operator('Add'),
  AddN: kernel(({ inputs, backend }) => {
    const terms = Object.values(inputs);
    if (terms.every(({ dtype }) => dtype === 'float32')) return backend.emit('Sum', terms, terms[0]!);
    // ONNX's Sum is for fractions only.
    const add = (sum: TensorInfo, term: TensorInfo): TensorInfo => backend.emit('Add', [sum, term], sum);
    const numbers = terms.map((term) => cast({ backend }, term, 'int32'));
    return cast({ backend }, numbers.reduce(add), terms[0]!.dtype);
  }),
  Sub: operator('Sub'),
  Multiply: operator('Mul'),
  // tfjs sends whole numbers to FloorDiv
  RealDiv: elementwise(PAIR, (operands, { builder }) => builder.operation('Div', operands)),
  FloorDiv: elementwise(
    PAIR,
    (operands, call) => {
      const isWhole = PAIR.every((name) => call.inputs[name]!.dtype !== 'float32');
      const { builder } = call;
      const quotient = isWhole ? wholeQuotient(operands, call) : builder.operation('Floor', [builder.operation('Div', operands)]);
      return builder.operation('Cast', [quotient], { attributes: { to: INT32 } });
    },
    { whole: true, gives: 'int32' },
  ),
  Mod: elementwise(PAIR, floorModulo),
  Pow: operator('Pow'),
  Maximum: operator('Max'),
  Minimum: operator('Min'),
  SquaredDifference: elementwise(
    PAIR,
    (operands, { builder }) => {
      const difference = builder.operation('Sub', operands);
      return builder.operation('Mul', [difference, difference]);
    },
    { whole: true },
  ),
  Atan2: elementwise(PAIR, atan2),
  BitwiseAnd: operator('BitwiseAnd'),
};
