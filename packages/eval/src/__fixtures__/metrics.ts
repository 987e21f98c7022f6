// For tests only: the golden values of the official scorers, and how closely to compare.
import { readFileSync } from 'node:fs';
import { fixturePath } from '@blip2/testing';

/** A file of `testing/fixtures/metrics`. */
// oxlint-disable-next-line typescript/no-explicit-any -- each file has its own structure
export function readMetrics(name: string): any {
  return JSON.parse(readFileSync(fixturePath('metrics', name), 'utf8'));
}

/** |a − b| ≤ tolerance · |b| for each pair. */
export function expectRelative(actual: readonly number[], expected: readonly number[], tolerance = 1e-9): void {
  const wrong = expected.flatMap((value, index) =>
    Math.abs(actual[index]! - value) <= tolerance * Math.abs(value) ? [] : [`${index}: ${actual[index]}, expected ${value}`],
  );
  if (actual.length !== expected.length || wrong.length > 0)
    throw new Error(
      `${actual.length} values, expected ${expected.length}; ${wrong.length} differ\n${wrong.slice(0, 5).join('\n')}`,
    );
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
