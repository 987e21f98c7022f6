// For tests only: the golden values of the official scorers, and how closely to compare.
import { readFileSync } from 'node:fs';
import { fixturePath } from '@blip2/testing';
import { expect } from 'vitest';

/** A file of `testing/fixtures/metrics`. */
// oxlint-disable-next-line typescript/no-explicit-any -- each file has its own structure
export function readMetrics(name: string): any {
  return JSON.parse(readFileSync(fixturePath('metrics', name), 'utf8'));
}

/** |a − b| ≤ tolerance · |b| for each pair. */
export function expectRelative(actual: readonly number[], expected: readonly number[], tolerance = 1e-9): void {
  expect(actual.length).toBe(expected.length);
  const wrong = expected.flatMap((value, index) =>
    Math.abs(actual[index]! - value) <= tolerance * Math.abs(value) ? [] : [{ index, actual: actual[index], expected: value }],
  );
  expect(wrong).toEqual([]);
}

/** What work says when it fails. */
export function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing was thrown';
}
