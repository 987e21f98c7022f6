import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { bools, floats, ints, special } from './case-inputs.ts';
import type { KernelCase, KernelCases } from './kernel-case.ts';

type One = { x: Tensor };
type Slopes = { x: Tensor; alpha: Tensor };

function activation(apply: (x: Tensor) => Tensor): KernelCase[] {
  const compute = ({ x }: One): Tensor => apply(x);
  return [
    { inputs: { x: floats(['rows', 3, 'columns']) }, compute, differentiable: ['x'] },
    { inputs: { x: floats([]) }, compute, differentiable: ['x'] },
    { inputs: { x: floats([64], special) }, compute, title: 'special values' },
  ];
}

const others = (apply: (x: Tensor) => Tensor): KernelCase[] => [
  { inputs: { x: ints(['rows', 'columns']) }, compute: ({ x }: One) => apply(x) },
  { inputs: { x: bools(['rows']) }, compute: ({ x }: One) => apply(x) },
];

const prelu = ({ x, alpha }: Slopes): Tensor => tf.prelu(x, alpha);

/** Ways to call each of the kernels of `activations`. */
export const ACTIVATIONS_CASES: KernelCases = {
  Elu: activation(tf.elu),
  EluGrad: [
    { inputs: { x: floats(['rows', 'columns']) }, compute: ({ x }: One) => tf.grad((z) => tf.sum(tf.square(tf.elu(z))))(x) },
  ],
  LeakyRelu: [...activation((x) => tf.leakyRelu(x, 0.3)), ...others((x) => tf.leakyRelu(x, 0.25))],
  Prelu: [
    { inputs: { x: floats(['rows', 'columns']), alpha: floats(['columns']) }, compute: prelu, differentiable: ['x', 'alpha'] },
    { inputs: { x: floats(['rows', 1]), alpha: floats(['rows', 'columns']) }, compute: prelu },
    { inputs: { x: ints(['rows']), alpha: ints(['rows']) }, compute: prelu },
    { inputs: { x: floats([64], special), alpha: floats([]) }, compute: prelu, title: 'special values' },
  ],
  Relu: [...activation(tf.relu), ...others(tf.relu)],
  Relu6: [...activation(tf.relu6), ...others(tf.relu6)],
  Selu: [...activation(tf.selu), ...others(tf.selu)],
  Sigmoid: [...activation(tf.sigmoid), ...activation(tf.logSigmoid)],
  Softplus: [...activation(tf.softplus), { inputs: { x: ints(['rows']) }, compute: ({ x }: One) => tf.softplus(x) }],
  Step: [
    { inputs: { x: floats(['rows', 'columns']) }, compute: ({ x }: One) => [tf.step(x), tf.step(x, 0.5)], differentiable: ['x'] },
    ...others((x) => tf.step(x)),
  ],
};
