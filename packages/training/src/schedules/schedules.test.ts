import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { constantSchedule, lavisSchedule, warmupCosine } from './schedules.ts';

/** Rates in units of 1e-5, as the golden values are written. */
const units = (rates: readonly number[]): number[] => rates.map((rate) => Number((rate * 1e5).toFixed(4)));

describe('lavisSchedule', () => {
  const options = { peak: 1e-4, minimum: 1e-5, warmupStart: 1e-6, warmupSteps: 5000, stepsPerEpoch: 8000, epochs: 10 };
  const schedule = lavisSchedule(options);

  it("has LAVIS's rate in each epoch", () => {
    const lastSteps = Array.from({ length: 10 }, (_, epoch) => schedule(epoch * 8000 + 7999));
    expect(units(lastSteps)).toEqual([10, 9.7798, 9.1406, 8.145, 6.8906, 5.5, 4.1094, 2.855, 1.8594, 1.2202]);
  });

  it('is constant in each epoch but the first', () => {
    for (let epoch = 1; epoch < 10; epoch++) expect(schedule(epoch * 8000)).toBe(schedule(epoch * 8000 + 7999));
  });

  it('rises by step, then waits at its peak for the epoch to end', () => {
    expect(units([0, 2500, 4999, 5000, 7999].map(schedule))).toEqual([0.1, 5.05, 9.998, 10, 10]);
  });

  it('does not warm up beyond the first epoch', () => {
    const short = lavisSchedule({ ...options, stepsPerEpoch: 100 });
    expect(units([99, 100].map(short))).toEqual([0.296, 9.7798]);
  });
});

describe('warmupCosine', () => {
  const schedule = warmupCosine({ peak: 1e-4, minimum: 1e-5, warmupStart: 1e-6, warmupSteps: 2000, totalSteps: 250_000 });

  it('rises in a line and falls in a cosine', () => {
    expect(units([0, 1000, 2000, 126_000, 250_000, 300_000].map(schedule))).toEqual([0.1, 5.05, 10, 5.5, 1, 1]);
  });

  it("has the rates of LAVIS where LAVIS's epochs begin, without a warm-up", () => {
    const byStep = warmupCosine({ peak: 1e-4, minimum: 1e-5, totalSteps: 80 });
    const byEpoch = lavisSchedule({ peak: 1e-4, minimum: 1e-5, stepsPerEpoch: 8, epochs: 10 });
    for (let epoch = 1; epoch < 10; epoch++) expect(byStep(8 * epoch)).toBeCloseTo(byEpoch(8 * epoch), 15);
  });

  it('never leaves its bounds, rises before its peak and falls after it', () => {
    const numbers = fc.record({
      warmupSteps: fc.nat(50),
      after: fc.integer({ min: 1, max: 200 }),
      minimum: fc.double({ min: 0, max: 1e-4, noNaN: true }),
    });
    fc.assert(
      fc.property(numbers, ({ warmupSteps, after, minimum }) => {
        const one = warmupCosine({ peak: 1e-4, minimum, warmupSteps, totalSteps: warmupSteps + after });
        const rates = Array.from({ length: warmupSteps + after + 1 }, (_, step) => one(step));
        for (const [step, rate] of rates.entries()) {
          expect(rate).toBeGreaterThanOrEqual(0);
          expect(rate).toBeLessThanOrEqual(1e-4 + 1e-18);
          if (step > 0 && step <= warmupSteps) expect(rate).toBeGreaterThanOrEqual(rates[step - 1]!);
          if (step > warmupSteps) expect(rate).toBeLessThanOrEqual(rates[step - 1]! + 1e-18);
        }
        expect(rates.at(-1)).toBe(minimum);
      }),
    );
  });
});

it('constantSchedule stays', () => {
  expect([0, 1, 1e6].map(constantSchedule(3e-4))).toEqual([3e-4, 3e-4, 3e-4]);
});

it('refuses what makes no schedule', () => {
  expect(() => warmupCosine({ peak: Number.NaN, totalSteps: 10 })).toThrowErrorMatchingInlineSnapshot(
    `[InputError: warmupCosine: peak is NaN, expected a learning rate: a number of 0 or more, such as 1e-4.]`,
  );
  expect(() => warmupCosine({ peak: 1e-4, warmupSteps: 20, totalSteps: 10 })).toThrowErrorMatchingInlineSnapshot(
    `[InputError: warmupCosine: the warm-up takes 20 of 10 steps, expected no more than all. Shorten it, or train longer.]`,
  );
  expect(() => lavisSchedule({ peak: 1e-4, stepsPerEpoch: 0, epochs: 1 })).toThrowErrorMatchingInlineSnapshot(
    `[InputError: lavisSchedule: stepsPerEpoch is 0, expected 1 or more. Divide the number of records by the batch.]`,
  );
  expect(() => lavisSchedule({ peak: 1e-4, stepsPerEpoch: 2.5, epochs: 1 })).toThrowErrorMatchingInlineSnapshot(
    `[InputError: lavisSchedule: stepsPerEpoch is 2.5, expected a whole number of 0 or more. Round it.]`,
  );
});
