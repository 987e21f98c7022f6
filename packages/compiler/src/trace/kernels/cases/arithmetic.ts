import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { between, bools, floats, type InputSpec, ints, ordinary, special, type Values, whole } from './case-inputs.ts';
import type { KernelCase, KernelCases } from './kernel-case.ts';

type Pair = { a: Tensor; b: Tensor };
type Operation = (a: Tensor, b: Tensor) => Tensor;

/** Not zero, and not close to it. */
const apart: Values = (random) => (random() < 0.5 ? -1 : 1) * (0.5 + 2 * random());
const positive: Values = (random) => 0.5 + 2 * random();

const pair = (operation: Operation, a: InputSpec, b: InputSpec, more: Partial<KernelCase> = {}): KernelCase => ({
  inputs: { a, b },
  compute: ({ a: left, b: right }: Pair) => operation(left, right),
  ...more,
});

/** Every way to broadcast: the same shape, scalars, axes of one element, fewer axes, on either side. */
function broadcasts(operation: Operation, a: Values, b: Values, differentiable?: string[]): KernelCase[] {
  const shapes: [(string | number)[], (string | number)[]][] = [
    [
      ['rows', 'columns'],
      ['rows', 'columns'],
    ],
    [[], []],
    [['rows'], []],
    [[], ['rows', 'columns']],
    [['rows', 1], ['columns']],
    [['columns'], ['batch', 1, 'columns']],
    [
      ['batch', 1, 'rows', 1],
      ['columns', 1, 3],
    ],
  ];
  return shapes.map(([left, right]) =>
    pair(operation, floats(left, a), floats(right, b), { differentiable, smallestForGradients: 1 }),
  );
}

const wholes = (operation: Operation, b: Values = whole(-5, 5)): KernelCase[] => [
  pair(operation, ints(['rows', 1]), ints(['columns'], b)),
  pair(operation, ints(['rows']), floats(['rows'], apart)),
];
const truths = (operation: Operation): KernelCase[] => [pair(operation, bools(['rows', 'columns']), bools(['columns']))];
const specials = (operation: Operation): KernelCase =>
  pair(operation, floats([64], special), floats([64], special), { title: 'special values' });
const both = ['a', 'b'];
/** For operations whose gradients in tfjs do not broadcast. */
const sameShape = (operation: Operation): KernelCase =>
  pair(operation, floats(['rows', 'columns']), floats(['rows', 'columns']), { title: 'gradients', differentiable: both });

/** Ways to call each of the kernels of `arithmetic`. */
export const ARITHMETIC_CASES: KernelCases = {
  Add: [...broadcasts(tf.add, ordinary, ordinary, both), ...wholes(tf.add), specials(tf.add)],
  AddN: [
    {
      inputs: { a: floats(['rows', 3]), b: floats(['rows', 3]) },
      compute: ({ a, b }: Pair) => tf.addN([a, b, a]),
      differentiable: both,
    },
    { inputs: { a: ints(['rows', 3]), b: ints(['rows', 3]) }, compute: ({ a, b }: Pair) => tf.addN([a, b, a]) },
    { inputs: { a: floats([]) }, compute: ({ a }: Pair) => tf.addN([a]), differentiable: ['a'] },
  ],
  Sub: [...broadcasts(tf.sub, ordinary, ordinary, both), ...wholes(tf.sub), specials(tf.sub)],
  Multiply: [...broadcasts(tf.mul, ordinary, ordinary, both), ...wholes(tf.mul), ...truths(tf.mul), specials(tf.mul)],
  RealDiv: [
    ...broadcasts(tf.div, ordinary, apart, both),
    pair(tf.div, ints(['rows']), floats(['rows'], apart)),
    specials(tf.div),
  ],
  FloorDiv: [
    ...broadcasts(tf.floorDiv, ordinary, apart),
    pair(
      (a, b) => tf.mul(tf.cast(tf.floorDiv(a, b), 'float32'), a),
      floats(['rows'], between(0.5, 5)),
      floats(['rows'], between(1, 2)),
      { differentiable: both },
    ),
    pair(tf.floorDiv, ints(['rows', 1]), ints(['columns'], whole(1, 4))),
    pair(tf.div, ints(['rows', 1]), ints(['columns'], whole(-4, -1))),
    pair(tf.div, ints(['rows'], whole(-2e9, 2e9)), ints(['rows'], whole(1, 7)), { title: 'large' }),
  ],
  Mod: [
    ...broadcasts(tf.mod, ordinary, apart, both),
    pair(tf.mod, ints(['rows', 1]), ints(['columns'], whole(1, 4))),
    pair(tf.mod, ints(['rows', 1]), ints(['columns'], whole(-4, -1))),
  ],
  Pow: [...broadcasts(tf.pow, positive, ordinary, both), pair(tf.pow, ints(['rows', 1]), ints(['columns'], whole(0, 3)))],
  Maximum: [
    ...broadcasts(tf.maximum, ordinary, ordinary),
    sameShape(tf.maximum),
    ...wholes(tf.maximum),
    ...truths(tf.maximum),
    specials(tf.maximum),
  ],
  Minimum: [
    ...broadcasts(tf.minimum, ordinary, ordinary),
    sameShape(tf.minimum),
    ...wholes(tf.minimum),
    ...truths(tf.minimum),
    specials(tf.minimum),
  ],
  SquaredDifference: [
    ...broadcasts(tf.squaredDifference, ordinary, ordinary),
    sameShape(tf.squaredDifference),
    ...wholes(tf.squaredDifference),
    specials(tf.squaredDifference),
  ],
  Atan2: [
    ...broadcasts(tf.atan2, ordinary, ordinary, both),
    pair(tf.atan2, floats(['rows', 1], whole(-1, 1)), floats(['columns'], whole(-1, 1)), { title: 'on the axes' }),
  ],
  BitwiseAnd: [pair(tf.bitwiseAnd, ints(['rows', 'columns']), ints(['rows', 'columns'], whole(0, 31)))],
};
