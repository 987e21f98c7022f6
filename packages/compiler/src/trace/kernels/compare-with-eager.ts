import fc from 'fast-check';
import { hostInputs, namesOf } from './cases/case-inputs.ts';
import type { KernelCase } from './cases/kernel-case.ts';
import { assertSame, type CompiledGraph, compileFor, compileForAnySize, runEagerly } from './kernel-test-support.ts';

const RUNS = 6;

/** Largest size of a named axis: enough for every index to differ, and eager tfjs is slow. */
const LARGEST = 5;

/** Compares eager and compiled on random values and sizes, with a graph for each size and with one for all. */
export async function compareWithEager(variant: KernelCase): Promise<void> {
  const { inputs: specs, compute, smallest = 0, anySize = true, tolerance = 1e-5 } = variant;
  const names = namesOf(specs);
  const sizes = fc.record(Object.fromEntries(names.map((name) => [name, fc.integer({ min: smallest, max: LARGEST })])));
  const compare = async (graph: CompiledGraph, chosen: Record<string, number>, seed: number, what: string): Promise<void> => {
    const values = hostInputs(specs, new Map(Object.entries(chosen)), seed);
    assertSame(await graph.run(values), await runEagerly(compute, values), tolerance, what);
  };
  const forOneSize = fc.asyncProperty(sizes, fc.integer(), async (chosen, seed) => {
    const shapes = hostInputs(specs, new Map(Object.entries(chosen)), seed);
    await using graph = await compileFor(compute, shapes);
    await compare(graph, chosen, seed, 'for this size');
  });
  const every = (size: number): [Record<string, number>, number] => [Object.fromEntries(names.map((name) => [name, size])), 1];
  const examples = [...new Set([smallest, Math.max(smallest, 1)])].map(every);
  await fc.assert(forOneSize, { numRuns: RUNS, examples });
  if (!anySize || names.length === 0) return;
  await using graph = await compileForAnySize(compute, specs);
  const forAnySize = fc.asyncProperty(sizes, fc.integer(), (chosen, seed) => compare(graph, chosen, seed, 'for any size'));
  await fc.assert(forAnySize, { numRuns: RUNS, examples });
}
