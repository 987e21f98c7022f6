import * as tf from '@tensorflow/tfjs-core';
import type { DataType, Tensor } from '@tensorflow/tfjs-core';
import { between, bools, floats, ints, ordinary, special, type Values, whole } from './case-inputs.ts';
import type { KernelCase, KernelCases } from './kernel-case.ts';

type One = { x: Tensor };
type Apply = (x: Tensor) => Tensor;

/** Three shapes, one without axes, and values where functions go wrong. */
function fractions(apply: Apply, values: Values = ordinary): KernelCase[] {
  const compute = ({ x }: One): Tensor => apply(x);
  return [
    { inputs: { x: floats(['rows', 3, 'columns'], values) }, compute, differentiable: ['x'] },
    { inputs: { x: floats([], values) }, compute, differentiable: ['x'] },
    { inputs: { x: floats([64], special) }, compute, title: 'special values' },
  ];
}

/** tfjs gives whole numbers for whole numbers, cut off where they are not; `values` have a finite result. */
const wholes = (apply: Apply, values: Values = whole(-5, 5)): KernelCase => ({
  inputs: { x: ints(['rows', 'columns'], values) },
  compute: ({ x }: One) => apply(x),
});
const truths = (apply: Apply): KernelCase => ({ inputs: { x: bools(['rows']) }, compute: ({ x }: One) => apply(x) });
const inside = between(-0.95, 0.95);
const positive = between(0.05, 3);
const castTo =
  (dtype: DataType): Apply =>
  (x) =>
    tf.cast(x, dtype);
/** Small numbers, of which 1 + x keeps few digits. */
const tiny: Values = (random) => (random() - 0.5) * 10 ** (-8 * random());
const tinyCase = (apply: Apply): KernelCase => ({
  title: 'tiny values',
  inputs: { x: floats([64], tiny) },
  // relative, because an absolute error would hide that everything is lost
  compute: ({ x }: One) => tf.div(apply(x), x),
});

/** Ways to call each of the kernels of `functions`. */
export const FUNCTIONS_CASES: KernelCases = {
  Abs: [...fractions(tf.abs), wholes(tf.abs), truths(tf.abs)],
  Acos: [...fractions(tf.acos, inside), wholes(tf.acos, whole(0, 1))],
  Acosh: [...fractions(tf.acosh, between(1.05, 4)), wholes(tf.acosh, whole(1, 9))],
  Asin: [...fractions(tf.asin, inside), wholes(tf.asin, whole(0, 1))],
  Asinh: [...fractions(tf.asinh), wholes(tf.asinh)],
  Atan: [...fractions(tf.atan), wholes(tf.atan)],
  Atanh: [...fractions(tf.atanh, inside), wholes(tf.atanh, whole(0, 0))],
  Ceil: fractions(tf.ceil),
  Cos: fractions(tf.cos),
  Cosh: fractions(tf.cosh),
  Erf: [...fractions(tf.erf), wholes(tf.erf)],
  Exp: [...fractions(tf.exp), wholes(tf.exp), truths(tf.exp)],
  Expm1: [...fractions(tf.expm1), wholes(tf.expm1), tinyCase(tf.expm1)],
  Floor: fractions(tf.floor),
  Log: fractions(tf.log, positive),
  Log1p: [...fractions(tf.log1p, between(-0.9, 3)), wholes(tf.log1p, whole(0, 9)), tinyCase(tf.log1p)],
  Neg: [...fractions(tf.neg), wholes(tf.neg)],
  Reciprocal: [...fractions(tf.reciprocal, positive), wholes(tf.reciprocal, whole(1, 4))],
  Round: [...fractions(tf.round), wholes(tf.round)],
  Rsqrt: fractions(tf.rsqrt, positive),
  Sign: [...fractions(tf.sign), wholes(tf.sign)],
  Sin: fractions(tf.sin),
  Sinh: [...fractions(tf.sinh), wholes(tf.sinh)],
  Sqrt: fractions(tf.sqrt, positive),
  Square: [...fractions(tf.square), wholes(tf.square), truths(tf.square)],
  Tan: fractions(tf.tan, between(-1.4, 1.4)),
  Tanh: fractions(tf.tanh),
  ClipByValue: [...fractions((x) => tf.clipByValue(x, -1, 1.5)), wholes((x) => tf.clipByValue(x, -2, 3))],
  Cast: [
    {
      inputs: { x: floats(['rows', 'columns']) },
      compute: ({ x }: One) => [castTo('int32')(x), castTo('bool')(x), castTo('float32')(x)],
    },
    { inputs: { x: floats(['rows'], whole(-1, 1)) }, compute: ({ x }: One) => castTo('bool')(x) },
    { inputs: { x: ints(['rows', 'columns']) }, compute: ({ x }: One) => [castTo('float32')(x), castTo('bool')(x)] },
    { inputs: { x: bools([]) }, compute: ({ x }: One) => [castTo('float32')(x), castTo('int32')(x)] },
    {
      inputs: { x: floats(['rows']) },
      compute: ({ x }: One) => tf.mul(x, castTo('float32')(castTo('int32')(x))),
      differentiable: ['x'],
    },
  ],
};
