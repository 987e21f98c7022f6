import type { BenchmarkRun } from './benchmark-run.ts';

/** What scoring adds to a run; who ran what, and how, is the caller's to say. */
export type Scored = Pick<BenchmarkRun, 'benchmark' | 'mainScore' | 'scores' | 'unavailable' | 'items'>;

/** A map as JSON has it. */
export function asObject<Value>(map: ReadonlyMap<string | number, Value>): Record<string, Value> {
  return Object.fromEntries(map);
}
