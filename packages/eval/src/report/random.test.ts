import { seededRandom } from '@blip2/core/random';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { binomial, shuffled } from './random.ts';

it('shuffles', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.integer(), (items, seed) => {
      const order = shuffled(items, seededRandom(seed));
      expect(order.toSorted((a, b) => a - b)).toEqual(items.toSorted((a, b) => a - b));
    }),
  );
  const firsts = new Map<number, number>();
  const random = seededRandom(1);
  for (let round = 0; round < 3000; round++) {
    const [first] = shuffled([0, 1, 2], random);
    firsts.set(first!, (firsts.get(first!) ?? 0) + 1);
  }
  for (const count of firsts.values()) expect(count / 1000).toBeCloseTo(1, 0.5);
});

describe('binomial', () => {
  /** P(k) of the distribution, from k = 0. */
  function probabilities(trials: number, probability: number): number[] {
    const logs = [0];
    for (let k = 1; k <= trials; k++) logs.push(logs.at(-1)! + Math.log((trials - k + 1) / k));
    return logs.map((log, k) => Math.exp(log + k * Math.log(probability) + (trials - k) * Math.log(1 - probability)));
  }

  // Both algorithms, both sides of one half, and the seam between them at 10 expected successes.
  it.each([
    [1, 0.3],
    [20, 0.2],
    [20, 0.8],
    [60, 0.16],
    [60, 0.17],
    [100, 0.5],
    [400, 0.07],
    [1000, 0.93],
  ])('of %d trials with %d follows the distribution', (trials, probability) => {
    const draws = 40_000;
    const random = seededRandom(trials);
    const counts = Array<number>(trials + 1).fill(0);
    for (let draw = 0; draw < draws; draw++) counts[binomial(trials, probability, random)]!++;
    // Chi-square over the values that are expected 10 times and the rest: its mean is the freedom f, its variance 2f.
    const expected = probabilities(trials, probability).map((share) => share * draws);
    const cells = expected.flatMap((count, k) => (count < 10 ? [] : [(counts[k]! - count) ** 2 / count]));
    const rest = expected.reduce((sum, count) => sum + (count < 10 ? count : 0), 0);
    const freedom = Math.max(1, cells.length - 1);
    const chiSquare = cells.reduce((sum, cell) => sum + cell, 0);
    expect(chiSquare).toBeLessThan(freedom + 4 * Math.sqrt(2 * freedom) + rest);
  });

  it('has the mean and the deviation of many trials', () => {
    const [trials, probability, draws] = [2_000_000, 0.013, 20_000];
    const random = seededRandom(5);
    const values = Array.from({ length: draws }, () => binomial(trials, probability, random));
    const mean = values.reduce((sum, value) => sum + value, 0) / draws;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / draws;
    const expected = trials * probability * (1 - probability);
    expect(Math.abs(mean - trials * probability)).toBeLessThan(4 * Math.sqrt(expected / draws));
    expect(Math.abs(variance / expected - 1)).toBeLessThan(4 * Math.sqrt(2 / draws));
  });

  it('is a number of trials', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1e6 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer(),
        (trials, probability, seed) => {
          const successes = binomial(trials, probability, seededRandom(seed));
          expect(Number.isInteger(successes) && successes >= 0 && successes <= trials).toBe(true);
        },
      ),
    );
    expect([binomial(9, 0, Math.random), binomial(9, 1, Math.random), binomial(0, 0.5, Math.random)]).toEqual([0, 9, 0]);
  });
});
