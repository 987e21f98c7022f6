import { attend, gelu, geluTanh, layerNorm, linear, quickGelu, rmsNorm, silu, softmaxCrossEntropy } from '@blip2/core';
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import type { KernelCase, KernelCases } from './kernel-case.ts';
import { floats, type InputSpec, ints, special, type Values, whole } from './case-inputs.ts';

type One = { x: Tensor };
type Linear = { x: Tensor; weight: Tensor2D; bias?: Tensor1D };
type Normed = { x: Tensor; weight: Tensor1D; bias: Tensor1D };
type Attended = { query: Tensor4D; key: Tensor4D; value: Tensor4D; bias?: Tensor };
type Labelled = { logits: Tensor2D; labels: Tensor1D };

function activation(apply: (x: Tensor) => Tensor): KernelCase[] {
  const compute = ({ x }: One): Tensor => apply(x);
  return [
    { inputs: { x: floats(['rows', 3, 'columns']) }, compute, differentiable: ['x'] },
    { inputs: { x: floats([]) }, compute, differentiable: ['x'] },
    { inputs: { x: floats([64], special) }, compute, title: 'special values' },
  ];
}

function attention(bias: InputSpec | undefined, scale: number): KernelCase {
  const inputs = {
    query: floats(['batch', 2, 'queries', 3]),
    key: floats(['batch', 2, 'keys', 3]),
    value: floats(['batch', 2, 'keys', 3]),
  };
  return {
    title: `scale ${scale}, ${bias ? `bias [${bias.axes.join(', ')}]` : 'no bias'}`,
    inputs: bias ? { ...inputs, bias } : inputs,
    compute: ({ query, key, value, bias: added }: Attended) => attend(query, key, value, { scale, bias: added }),
    differentiable: ['query', 'key', 'value', ...(bias ? ['bias'] : [])],
    smallest: 1,
  };
}

/** Some labels are ignored. */
const someIgnored: Values = (random) => (random() < 0.3 ? -100 : Math.floor(random() * 5));
const labelled = (
  classes: number | string,
  labels: Values,
  options: { ignoreIndex?: number; labelSmoothing?: number },
): KernelCase => ({
  title: JSON.stringify(options),
  inputs: { logits: floats(['rows', classes]), labels: ints(['rows'], labels) },
  compute: ({ logits, labels: at }: Labelled) => softmaxCrossEntropy(logits, at, options),
  differentiable: ['logits'],
  smallest: 2, // a one-hot row of tfjs has two columns or more
});

/** A norm divides by what may be close to nothing, and a row of one element is nothing but its bias. */
const normed: Partial<KernelCase> = { smallest: 1, tolerance: 1e-4 };

/** Ways to call each of the kernels of `fused`. */
export const FUSED_CASES: KernelCases = {
  FusedAttention: [
    attention(undefined, 1),
    attention(undefined, 0.25),
    attention(floats(['batch', 1, 1, 'keys']), 0.5),
    attention(floats([1, 2, 'queries', 'keys']), 1),
    attention(floats(['queries', 'keys']), 0.5),
    { ...attention(undefined, 0.5), title: 'no queries', smallest: 0, differentiable: undefined },
  ],
  FusedGelu: [...activation(gelu), ...activation(geluTanh)],
  FusedLayerNorm: [
    {
      inputs: { x: floats(['batch', 'rows', 6]), weight: floats([6]), bias: floats([6]) },
      compute: ({ x, ...params }: Normed) => layerNorm(params, x, 1e-5),
      differentiable: ['x', 'weight', 'bias'],
      ...normed,
      smallest: 0,
    },
    {
      inputs: { x: floats(['rows', 'width']), weight: floats(['width']), bias: floats(['width']) },
      compute: ({ x, ...params }: Normed) => layerNorm(params, x, 1e-3),
      ...normed,
    },
  ],
  FusedLinear: [
    {
      inputs: { x: floats(['rows', 4]), weight: floats([3, 4]), bias: floats([3]) },
      compute: ({ x, ...params }: Linear) => linear(params, x),
      differentiable: ['x', 'weight', 'bias'],
    },
    {
      inputs: { x: floats(['batch', 'rows', 4]), weight: floats([3, 4]) },
      compute: ({ x, ...params }: Linear) => linear(params, x),
      differentiable: ['x', 'weight'],
    },
    {
      inputs: { x: floats([1, 2, 'in']), weight: floats(['out', 'in']), bias: floats(['out']) },
      compute: ({ x, ...params }: Linear) => linear(params, x),
      smallest: 1,
    },
  ],
  FusedQuickGelu: [...activation(quickGelu), ...activation(silu)],
  FusedRmsNorm: [
    {
      inputs: { x: floats(['batch', 'rows', 5]), weight: floats([5]) },
      compute: ({ x, weight }: Normed) => rmsNorm({ weight }, x, 1e-6),
      differentiable: ['x', 'weight'],
      ...normed,
      smallest: 0,
    },
    {
      inputs: { x: floats(['rows', 'width']), weight: floats(['width']) },
      compute: ({ x, weight }: Normed) => rmsNorm({ weight }, x, 1e-3),
      ...normed,
    },
  ],
  FusedSoftmaxCrossEntropy: [
    labelled(5, whole(0, 4), {}),
    labelled('classes', whole(0, 'classes'), { labelSmoothing: 0.1 }),
    labelled(5, someIgnored, { ignoreIndex: -100 }),
    labelled(5, someIgnored, { ignoreIndex: -100, labelSmoothing: 0.2 }),
  ],
};
