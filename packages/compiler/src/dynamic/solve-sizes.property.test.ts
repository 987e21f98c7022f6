import { type AxisExpression, evaluateAxis, parseAxis } from '@blip2/core';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { axisText, SizeSolver } from './solve-sizes.ts';

const NAMES = ['batch', 'tokens', 'past', 'rows'];
const ASSIGNMENTS = [
  [5, 11, 17, 23],
  [37, 13, 71, 29],
  [19, 61, 43, 89],
  [101, 43, 29, 73],
].map((sizes) => new Map(NAMES.map((name, index) => [name, sizes[index]!])));
const DECLARED = ['past + tokens', '1 + rows * rows'].map(parseAxis);
const solver = new SizeSolver(ASSIGNMENTS, DECLARED);

const valuesOf = (expression: AxisExpression): number[] => ASSIGNMENTS.map((sizes) => evaluateAxis(expression, sizes));

it.each(['12', 'tokens', '768 * batch', 'past + tokens', 'batch * tokens', '3 * batch + 2'])(
  'finds %s as it is written',
  (axis) => {
    const solved = solver.solve(valuesOf(parseAxis(axis)));
    expect(axisText(solved!)).toBe(axis.replaceAll(' * ', '*'));
  },
);

/** What reshapes and slices of models ask for: a factor times a product, and a constant. */
const expressions = fc
  .record({
    names: fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 }),
    factor: fc.integer({ min: 1, max: 4096 }),
    constant: fc.integer({ min: 0, max: 64 }),
  })
  .map(({ names, factor, constant }): AxisExpression => [
    { factor, names },
    { factor: constant, names: [] },
  ]);

it('finds an expression that holds for sizes of no trace', () => {
  fc.assert(
    fc.property(expressions, fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 4, maxLength: 4 }), (expression, sizes) => {
      const other = new Map(NAMES.map((name, index) => [name, sizes[index]!]));
      const solved = solver.solve(valuesOf(expression));
      expect(evaluateAxis(solved!, other)).toBe(evaluateAxis(expression, other));
    }),
  );
});

it('finds sums of two products', () => {
  const pairs = fc.tuple(
    fc.constantFrom(...NAMES),
    fc.constantFrom(...NAMES),
    fc.constantFrom(...NAMES),
    fc.integer({ min: 1, max: 512 }),
  );
  fc.assert(
    fc.property(pairs, ([a, b, c, factor]) => {
      const expression: AxisExpression = [
        { factor, names: [a, b] },
        { factor: 1, names: [c] },
      ];
      const other = new Map(NAMES.map((name, index) => [name, [3, 8, 0, 21][index]!]));
      expect(evaluateAxis(solver.solve(valuesOf(expression))!, other)).toBe(evaluateAxis(expression, other));
    }),
  );
});

it('finds nothing where nothing is to be found', () => {
  expect(solver.solve([1, 2, 3, 5])).toBeUndefined();
});
