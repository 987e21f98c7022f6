import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { bools, floats, ints, special, whole } from './case-inputs.ts';
import type { KernelCase, KernelCases } from './kernel-case.ts';

type Pair = { a: Tensor; b: Tensor };

function comparison(compare: (a: Tensor, b: Tensor) => Tensor): KernelCase[] {
  const compute = ({ a, b }: Pair): Tensor => compare(a, b);
  return [
    // few values, so that some are equal
    { inputs: { a: floats(['rows', 1], whole(-1, 1)), b: floats(['columns'], whole(-1, 1)) }, compute },
    { inputs: { a: floats(['columns'], whole(-1, 1)), b: floats([], whole(-1, 1)) }, compute },
    { inputs: { a: ints(['rows', 'columns'], whole(-1, 1)), b: ints(['columns'], whole(-1, 1)) }, compute },
    { inputs: { a: ints(['rows'], whole(-1, 1)), b: floats(['rows'], whole(-1, 1)) }, compute },
    { inputs: { a: bools(['rows', 'columns']), b: bools(['rows', 1]) }, compute },
    { inputs: { a: floats([64], special), b: floats([64], special) }, compute, title: 'special values' },
  ];
}

function logical(combine: (a: Tensor, b: Tensor) => Tensor): KernelCase[] {
  const compute = ({ a, b }: Pair): Tensor => combine(a, b);
  return [
    { inputs: { a: bools(['rows', 1]), b: bools(['columns']) }, compute },
    { inputs: { a: bools([]), b: bools(['columns']) }, compute },
  ];
}

function question(ask: (x: Tensor) => Tensor): KernelCase[] {
  const compute = ({ x }: { x: Tensor }): Tensor => ask(x);
  return [
    {
      title: 'gradients',
      inputs: { x: floats(['rows']) },
      compute: ({ x }: { x: Tensor }) => tf.mul(tf.cast(ask(x), 'float32'), x),
      differentiable: ['x'],
    },
    { inputs: { x: floats([64], special) }, compute },
    { inputs: { x: floats(['rows', 'columns'], special) }, compute },
    { inputs: { x: ints(['rows']) }, compute },
  ];
}

type Choice = { condition: Tensor; t: Tensor; e: Tensor };
const choose = ({ condition, t, e }: Choice): Tensor => tf.where(condition, t, e);
const branches = ['t', 'e'];

/** Ways to call each of the kernels of `comparisons`. */
export const COMPARISONS_CASES: KernelCases = {
  Equal: comparison(tf.equal),
  NotEqual: comparison(tf.notEqual),
  Greater: comparison(tf.greater),
  GreaterEqual: [
    ...comparison(tf.greaterEqual),
    {
      title: 'gradients',
      inputs: { a: floats(['rows']), b: floats(['rows']) },
      compute: ({ a, b }: Pair) => tf.mul(tf.cast(tf.greaterEqual(a, b), 'float32'), a),
      differentiable: ['a', 'b'],
    },
  ],
  Less: comparison(tf.less),
  LessEqual: comparison(tf.lessEqual),
  LogicalAnd: [...logical(tf.logicalAnd), ...logical(tf.logicalXor)],
  LogicalOr: logical(tf.logicalOr),
  LogicalNot: [{ inputs: { x: bools(['rows', 'columns']) }, compute: ({ x }: { x: Tensor }) => tf.logicalNot(x) }],
  IsNan: question(tf.isNaN),
  IsInf: question(tf.isInf),
  IsFinite: question(tf.isFinite),
  Select: [
    {
      inputs: { condition: bools(['rows', 'columns']), t: floats(['rows', 'columns']), e: floats(['rows', 'columns']) },
      compute: choose,
      differentiable: branches,
    },
    { inputs: { condition: bools(['rows', 1]), t: floats(['columns']), e: floats([]) }, compute: choose, smallest: 1 },
    { inputs: { condition: bools([]), t: ints(['rows', 1]), e: ints(['columns']) }, compute: choose, smallest: 1 },
    { inputs: { condition: bools(['rows']), t: bools(['rows']), e: bools(['rows']) }, compute: choose },
  ],
};
