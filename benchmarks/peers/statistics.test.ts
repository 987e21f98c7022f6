import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agreementOf, median } from './statistics.ts';

const numbers = fc.array(fc.double({ noNaN: true, min: -1e9, max: 1e9 }), { minLength: 1, maxLength: 20 });

describe('median', () => {
  it('is the value in the middle, or the mean of two', () => {
    expect(median([100, 1, 3])).toBe(3);
    expect(median([4, 1, 3, 100])).toBe(3.5);
    expect(median([7])).toBe(7);
  });

  it('has as many values below as above, in any order', () => {
    fc.assert(
      fc.property(numbers, (values) => {
        const middle = median(values);
        expect(values.filter((value) => value < middle).length).toBeLessThanOrEqual(values.length / 2);
        expect(values.filter((value) => value > middle).length).toBeLessThanOrEqual(values.length / 2);
        expect(median(values.toReversed()) === middle).toBe(true); // 0 and -0 are one number
      }),
    );
  });

  it('needs values', () => {
    expect(() => median([])).toThrowErrorMatchingInlineSnapshot(
      `[InputError: median: got no values, expected at least one. Measure something first.]`,
    );
  });
});

describe('agreementOf', () => {
  it('looks at rows: the worst and the average cosine, the largest difference', () => {
    const theirs = Float32Array.of(2, 0, 0, 1);
    const agreement = agreementOf(Float32Array.of(2, 0, 1, 1), theirs, 2);
    expect(agreement.cosine.min).toBeCloseTo(Math.SQRT1_2, 12);
    expect(agreement.cosine.mean).toBeCloseTo((1 + Math.SQRT1_2) / 2, 12);
    expect(agreement.largestRelativeDifference).toBe(0.5);
    expect(agreementOf(theirs, theirs, 2)).toEqual({ cosine: { min: 1, mean: 1 }, largestRelativeDifference: 0 });
  });

  it('is not a number when a result is not', () => {
    expect(agreementOf(Float32Array.of(Number.NaN, 1), Float32Array.of(1, 1), 2).cosine.min).toBeNaN();
  });

  it('compares results of one shape', () => {
    expect(() => agreementOf(new Float32Array(4), new Float32Array(6), 2)).toThrowErrorMatchingInlineSnapshot(
      `[InputError: agreementOf: got 4 and 6 numbers in rows of 2, expected as many of both in whole rows. Compare results of the same task.]`,
    );
    expect(() => agreementOf(new Float32Array(4), new Float32Array(4), 3)).toThrowErrorMatchingInlineSnapshot(
      `[InputError: agreementOf: got 4 and 4 numbers in rows of 3, expected as many of both in whole rows. Compare results of the same task.]`,
    );
  });
});
