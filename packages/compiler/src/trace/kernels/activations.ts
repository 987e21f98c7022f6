import type { TensorInfo } from '@tensorflow/tfjs-core';
import { elementwise, type ElementwiseTypes, type KernelCall, type TraceKernel, type TraceKernels } from './kernel.ts';

/** An ONNX operator of one tensor. */
function operator(name: string, types: ElementwiseTypes = {}): TraceKernel {
  return elementwise(['x'], (operands, { builder }) => builder.operation(name, operands), types);
}

/** Kernels of activation functions and of their gradients. */
export const ACTIVATION_KERNELS: TraceKernels = {
  Elu: operator('Elu'),
  // From the result of the function: its derivative is 1 above zero and y + 1 below.
  EluGrad: elementwise(['dy', 'y'], ([dy, y], { builder, number }) => {
    const below = builder.operation('Mul', [dy!, builder.operation('Add', [y!, number(1)])]);
    return builder.operation('Where', [builder.operation('GreaterOrEqual', [y!, number(0)]), dy!, below]);
  }),
  LeakyRelu: elementwise<{ alpha: number }>(
    ['x'],
    (operands, { builder, attributes }) =>
      builder.operation('LeakyRelu', operands, { attributes: { alpha: { float: attributes.alpha } } }),
    { result: 'float32' },
  ),
  Prelu: elementwise(
    ['x', 'alpha'],
    ([x, alpha], { builder, number }) => {
      const isBelow = builder.operation('Less', [x!, number(0)]);
      return builder.operation('Where', [isBelow, builder.operation('Mul', [x!, alpha!]), x!]);
    },
    { result: 'float32' },
  ),
  Relu: operator('Relu', { whole: true }),
  Relu6: elementwise(['x'], ([x], { builder, number }) => builder.operation('Clip', [x!, number(0), number(6)]), { whole: true }),
  Selu: operator('Selu'),
  Sigmoid: operator('Sigmoid'),
  Softplus: operator('Softplus'),
  Step: elementwise<{ alpha?: number }>(
    ['x'],
    ([x], { builder, number, attributes }) => {
      return builder.operation('Where', [
        builder.operation('Greater', [x!, number(0)]),
        number(1),
        number(attributes.alpha ?? 0),
      ]);
    },
    { whole: true },
  ),
};

/** How tfjs's own fused kernels say which function they apply to their result. */
export interface ActivationAttributes {
  readonly activation?: string;
  readonly leakyreluAlpha?: number;
}

/** By the names that tfjs has for them. */
const ACTIVATIONS: Readonly<Record<string, string>> = {
  relu: 'Relu',
  elu: 'Elu',
  relu6: 'Relu6',
  prelu: 'Prelu',
  leakyrelu: 'LeakyRelu',
  sigmoid: 'Sigmoid',
};

/** Applies the activation of a fused kernel, if it has one. */
export function activate(call: KernelCall<ActivationAttributes>, x: TensorInfo, alpha?: TensorInfo): TensorInfo {
  const { activation, leakyreluAlpha } = call.attributes;
  const apply = ACTIVATION_KERNELS[ACTIVATIONS[activation ?? 'linear'] ?? ''];
  if (apply === undefined) return x;
  const inputs: Record<string, TensorInfo> = alpha === undefined ? { x } : { x, alpha };
  return apply({ ...call, inputs, attributes: { alpha: leakyreluAlpha } as never }) as TensorInfo;
}
