import { type Random, seededRandom } from '@blip2/core/random';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { messageOf } from '../__fixtures__/metrics.ts';
import { type BootstrapInterval, bootstrapMean } from './bootstrap.ts';
import { shuffled } from './random.ts';

/** The obvious version, in the order of the items. */
function naive(values: readonly number[], samples: number, confidence: number, random: Random): BootstrapInterval {
  const means = Array.from({ length: samples }, () => {
    let sum = 0;
    for (let draw = 0; draw < values.length; draw++) sum += values[Math.floor(random() * values.length)]!;
    return sum / values.length;
  }).toSorted((a, b) => a - b);
  const place = Math.floor(((1 - confidence) / 2) * samples);
  return {
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    low: means[place]!,
    high: means[samples - 1 - place]!,
  };
}

const deviation = (values: readonly number[]): number => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
};

const random = seededRandom(7);
const accuracies = Array.from({ length: 800 }, () => [-100, -30, 0, 0, 0, 0, 30, 60, 100, 100][Math.floor(random() * 10)]!);
const rare = Array.from({ length: 1200 }, (_, index) => (index < 4 ? 100 : 0));
const smooth = Array.from({ length: 300 }, () => 3 * random() * random() - 0.6);

describe('against the naive bootstrap', () => {
  // Two quantiles of 20,000 samples each differ by chance: at 95 % by less than 0.09 standard errors,
  // which is more than three deviations of their difference.
  it.each([
    ['few values, counts drawn', accuracies, 0.95],
    ['few values, at 80 %', accuracies, 0.8],
    ['a rare change', rare, 0.95],
    ['many values, items drawn', smooth, 0.95],
  ])('%s', (_, values, confidence) => {
    const options = { samples: 20_000, confidence };
    const ours = bootstrapMean(values, { ...options, seed: 3 });
    const other = naive(values, options.samples, confidence, seededRandom(11));
    const tolerance = (0.09 * deviation(values)) / Math.sqrt(values.length) + (values === rare ? 100 / rare.length : 0);
    expect(ours.mean).toBeCloseTo(other.mean, 9);
    expect(Math.abs(ours.low - other.low)).toBeLessThan(tolerance);
    expect(Math.abs(ours.high - other.high)).toBeLessThan(tolerance);
  });

  it('a grid for more values than are drawn one by one', () => {
    // 12,000 values and 10,000 samples are over the limit of single draws; 2,000 samples are under it.
    const values = Array.from({ length: 12_000 }, () => 3 * random() * random() - 0.6);
    const onGrid = bootstrapMean(values, { samples: 10_000 });
    const drawn = bootstrapMean(values, { samples: 2_000 });
    const error = deviation(values) / Math.sqrt(values.length);
    expect(onGrid.mean).toBe(drawn.mean);
    expect(Math.abs(onGrid.low - drawn.low)).toBeLessThan(0.2 * error);
    expect(Math.abs(onGrid.high - drawn.high)).toBeLessThan(0.2 * error);
    expect((onGrid.high - onGrid.low) / error).toBeCloseTo(2 * 1.96, 0);
  });
});

it('holds the true mean about as often as it says', () => {
  const draw = seededRandom(21);
  let held = 0;
  const rounds = 400;
  for (let round = 0; round < rounds; round++) {
    // One of 100, 30, 0, -100 with 30, 20, 40, 10 %: the mean is 26.
    const values = Array.from({ length: 200 }, () => {
      const place = draw();
      return place < 0.3 ? 100 : place < 0.5 ? 30 : place < 0.9 ? 0 : -100;
    });
    const { low, high } = bootstrapMean(values, { samples: 500, seed: round, confidence: 0.9 });
    if (low <= 26 && 26 <= high) held++;
  }
  // 90 % of 400, give or take three deviations (4.5 %).
  expect(held / rounds).toBeGreaterThan(0.855);
  expect(held / rounds).toBeLessThan(0.945);
});

describe('properties', () => {
  const values = fc.array(fc.oneof(fc.constantFrom(-100, -30, 0, 30, 60, 100), fc.double({ min: -5, max: 5, noNaN: true })), {
    minLength: 1,
    maxLength: 60,
  });
  const few = fc.array(fc.constantFrom(-100, -30, 0, 30, 100), { minLength: 1, maxLength: 400 });
  const options = { samples: 60 };

  it('the order does not matter', () => {
    fc.assert(
      fc.property(fc.oneof(values, few), fc.integer(), (all, seed) => {
        expect(bootstrapMean(shuffled(all, seededRandom(seed)), options)).toEqual(bootstrapMean(all, options));
      }),
    );
  });

  it('negated values have the negated interval', () => {
    fc.assert(
      fc.property(fc.oneof(values, few), (all) => {
        const { mean, low, high } = bootstrapMean(all, options);
        const negated = bootstrapMean(
          all.map((value) => -value),
          options,
        );
        expect(negated).toEqual({ mean: -mean + 0, low: -high + 0, high: -low + 0 });
      }),
    );
  });

  it('values that are alike both ways have an interval that is', () => {
    fc.assert(
      fc.property(values, (half) => {
        const { mean, low, high } = bootstrapMean([...half, ...half.map((value) => -value)], options);
        expect(mean).toBeCloseTo(0, 9);
        expect(low).toBe(-high + 0);
      }),
    );
  });

  it('ends are between the least and the largest value, and wider for more confidence', () => {
    fc.assert(
      fc.property(fc.oneof(values, few), (all) => {
        const [narrow, wide] = [0.5, 0.99].map((confidence) => bootstrapMean(all, { ...options, confidence }));
        const slack = 1e-9;
        expect(wide!.low).toBeGreaterThanOrEqual(Math.min(...all) - slack);
        expect(wide!.high).toBeLessThanOrEqual(Math.max(...all) + slack);
        expect(wide!.low).toBeLessThanOrEqual(narrow!.low);
        expect(narrow!.low).toBeLessThanOrEqual(narrow!.high);
        expect(narrow!.high).toBeLessThanOrEqual(wide!.high);
      }),
    );
  });

  it('equal values have no width', () => {
    expect(bootstrapMean([2.5, 2.5, 2.5], options)).toEqual({ mean: 2.5, low: 2.5, high: 2.5 });
    expect(bootstrapMean([-0, 0], options)).toEqual({ mean: 0, low: 0, high: 0 });
  });
});

it('says what it cannot do', () => {
  expect(messageOf(() => bootstrapMean([]))).toMatchInlineSnapshot(
    `"compareRuns: got no items, expected at least one. Check the files or the subset."`,
  );
  expect(messageOf(() => bootstrapMean([1, Number.NaN]))).toMatchInlineSnapshot(
    `"compareRuns: a difference of scores is NaN, expected finite numbers. Look for the item that has no score."`,
  );
  expect(messageOf(() => bootstrapMean([1], { samples: 0 }))).toMatchInlineSnapshot(
    `"compareRuns: samples is 0, expected a whole number from 1 to 10,000,000. Leave the option out for the default."`,
  );
  expect(messageOf(() => bootstrapMean([1], { seed: 0.5 }))).toMatchInlineSnapshot(
    `"compareRuns: seed is 0.5, expected a whole number. Leave the option out for the default."`,
  );
  expect(messageOf(() => bootstrapMean([1], { confidence: 95 }))).toMatchInlineSnapshot(
    `"compareRuns: confidence is 95, expected a share between 0 and 1, such as 0.95. Leave the option out for the default."`,
  );
});
