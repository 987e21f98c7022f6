import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { bools, floats, ints, ordinary, special, type Values, whole } from './case-inputs.ts';
import type { KernelCase, KernelCases } from './kernel-case.ts';

type One = { x: Tensor };
type Reduce = (x: Tensor, axis?: number | number[], keepDims?: boolean) => Tensor;

/** Missing and infinite ones among ordinary numbers: sums of huge ones depend on their order. */
const holes: Values = (random, sizes) =>
  random() < 0.1 ? [Number.NaN, Infinity, -Infinity][Math.floor(random() * 3)]! : ordinary(random, sizes);

/** Something that has no gradient of its own, with something that has. */
const weighted = (flat: Tensor, x: Tensor): Tensor => tf.mul(tf.cast(flat, 'float32'), x);

/** All axes, some of them, counted from the end, kept, and no axes at all. */
function reductions(reduce: Reduce, more: Partial<KernelCase> = {}, values = ordinary): KernelCase[] {
  const ways: [title: string, axis: number | number[] | undefined, keepDims: boolean][] = [
    ['all', undefined, false],
    ['all, kept', undefined, true],
    ['0', 0, false],
    ['-1, kept', -1, true],
    ['[0, -1]', [0, -1], false],
    ['[2, 1], kept', [2, 1], true],
  ];
  return [
    ...ways.map(([title, axis, keepDims]) => ({
      title,
      inputs: { x: floats(['rows', 3, 'columns'], values) },
      compute: ({ x }: One) => reduce(x, axis, keepDims),
      differentiable: ['x'],
      ...more,
    })),
    { inputs: { x: floats([]) }, compute: ({ x }: One) => reduce(x) },
  ];
}

const wholes = (reduce: Reduce, smallest = 0): KernelCase[] => [
  { inputs: { x: ints(['rows', 'columns'], whole(-2, 2)) }, compute: ({ x }: One) => [reduce(x, 1), reduce(x)], smallest },
  { inputs: { x: bools(['rows', 'columns']) }, compute: ({ x }: One) => [reduce(x, 0), reduce(x)], smallest },
];
const specials = (reduce: Reduce, values = special): KernelCase => ({
  title: 'special values',
  inputs: { x: floats([40, 5], values) },
  compute: ({ x }: One) => [reduce(x, 1), reduce(x, 0)],
});
const truths = (reduce: Reduce): KernelCase[] => [
  {
    inputs: { x: bools(['rows', 'columns']) },
    compute: ({ x }: One) => [reduce(x), reduce(x, 0), reduce(x, -1, true)],
    smallest: 1,
  },
  { inputs: { x: bools([]) }, compute: ({ x }: One) => reduce(x) },
];

/** Few values, so that there are ties, of which the first counts. */
const argument = (find: (x: Tensor, axis?: number) => Tensor): KernelCase[] => [
  { inputs: { x: floats(['rows', 4]) }, compute: ({ x }: One) => weighted(find(x, 1), tf.sum(x, 1)), differentiable: ['x'] },
  { inputs: { x: floats(['rows', 'columns'], whole(0, 3)) }, compute: ({ x }: One) => [find(x, 0), find(x, -1)], smallest: 1 },
  { inputs: { x: ints([4, 'columns'], whole(0, 3)) }, compute: ({ x }: One) => find(x) },
  { inputs: { x: bools(['rows', 4]) }, compute: ({ x }: One) => find(x, 1) },
  { inputs: { x: floats(['rows', 40]) }, compute: ({ x }: One) => find(x, -1) },
];

type Run = (x: Tensor, axis?: number, exclusive?: boolean, reverse?: boolean) => Tensor;
/** Gradients of cumulative sums along other axes than the last are wrong in tfjs: they come out transposed. */
function running(run: Run, differentiable?: string[]): KernelCase[] {
  return [
    ...[false, true].flatMap((exclusive) =>
      [false, true].map((reverse) => ({
        title: `${exclusive ? 'exclusive' : 'inclusive'}${reverse ? ', reverse' : ''}`,
        inputs: { x: floats(['rows', 3, 'columns']) },
        compute: ({ x }: One) => run(x, 2, exclusive, reverse),
        differentiable,
      })),
    ),
    {
      title: 'other axes',
      inputs: { x: floats(['rows', 3, 'columns']) },
      compute: ({ x }: One) => [run(x, 0, true), run(x, 1, false, true)],
    },
    { inputs: { x: ints(['rows', 'columns'], whole(-2, 2)) }, compute: ({ x }: One) => run(x, 1) },
    { inputs: { x: bools(['rows']) }, compute: ({ x }: One) => run(x, 0) },
  ];
}

/** Ways to call each of the kernels of `reductions`. */
export const REDUCTIONS_CASES: KernelCases = {
  All: truths(tf.all),
  Any: truths(tf.any),
  ArgMax: argument(tf.argMax),
  ArgMin: argument(tf.argMin),
  Cumprod: running(tf.cumprod),
  Cumsum: running(tf.cumsum, ['x']),
  Max: [...reductions(tf.max, { smallest: 1 }), ...wholes(tf.max, 1), specials(tf.max)],
  Mean: [...reductions(tf.mean, { smallest: 1 }), ...wholes(tf.mean, 1), specials(tf.mean, holes)],
  Min: [...reductions(tf.min, { smallest: 1 }), ...wholes(tf.min, 1), specials(tf.min)],
  Prod: [
    ...reductions(tf.prod, { differentiable: undefined }),
    // tfjs has the gradient for axes counted from the front
    {
      title: 'gradients',
      inputs: { x: floats(['rows', 3, 'columns']) },
      compute: ({ x }: One) => [tf.prod(x), tf.prod(x, 2), tf.prod(x, [1, 2], true)],
      differentiable: ['x'],
      smallest: 1,
      tolerance: 1e-4,
    },
    ...wholes(tf.prod),
  ],
  Softmax: [
    { inputs: { x: floats(['rows', 3, 'columns']) }, compute: ({ x }: One) => tf.softmax(x), differentiable: ['x'] },
    { inputs: { x: floats([40, 5], special) }, compute: ({ x }: One) => tf.softmax(x), title: 'special values' },
    {
      inputs: { x: floats(['rows', 3, 'columns']) },
      compute: ({ x }: One) => tf.logSoftmax(x),
      differentiable: ['x'],
      smallest: 1,
    },
  ],
  Sum: [...reductions(tf.sum), ...wholes(tf.sum), specials(tf.sum, holes)],
  TopK: [
    { inputs: { x: floats(['rows', 3, 6]) }, compute: ({ x }: One) => tf.topk(x, 4) },
    { inputs: { x: floats(['rows', 7], whole(0, 3)) }, compute: ({ x }: One) => tf.topk(x, 5), title: 'ties' },
    { inputs: { x: ints(['rows', 'columns']) }, compute: ({ x }: One) => tf.topk(x, x.shape[1]!), smallest: 1, title: 'all' },
  ],
};
