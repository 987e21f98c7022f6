import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { KERNEL_GROUPS } from './index.ts';
import {
  assertSame,
  type CompiledGraph,
  compileFor,
  compileForAnySize,
  type Compute,
  runEagerly,
  watchKernels,
  withGradients,
} from './kernel-test-support.ts';
import { hostInputs, type InputSpec, namesOf } from './kernel-test-inputs.ts';

/** One way to call a kernel, for inputs of any size. */
export interface KernelCase {
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly compute: Compute;
  /** What tells it from others with the same inputs. */
  readonly title?: string;
  /** Smallest size of the named axes. @default 0 */
  readonly smallest?: number;
  /** The same for gradients: those of tfjs cannot broadcast from nothing. @default `smallest` */
  readonly smallestForGradients?: number;
  /** Inputs by which the gradient is compared as well. */
  readonly differentiable?: readonly string[];
  /** Whether one graph serves all sizes; not when sizes become attributes or data. @default true */
  readonly anySize?: boolean;
  /** As |a − b| ≤ tolerance · (1 + |b|). @default 1e-5 */
  readonly tolerance?: number;
}

/** Cases by the name of the kernel that they are for. */
export type KernelCases = Readonly<Record<string, readonly KernelCase[]>>;

const RUNS = 6;

/** Largest size of a named axis: enough for every index to differ, and eager tfjs is slow. */
const LARGEST = 5;

/**
 * Compares eager and compiled for every kernel of a group, with values and gradients, on graphs made for one size and for any.
 * Fails for a kernel that has no case, or whose cases do not reach it.
 */
export function describeKernels(group: string, cases: KernelCases): void {
  const kernels = Object.keys(KERNEL_GROUPS[group]!);
  let traced: () => ReadonlySet<string>;
  beforeAll(() => {
    traced = watchKernels(kernels);
  });
  it('has cases for all kernels, and for nothing else', () => {
    expect(Object.keys(cases).toSorted()).toEqual(kernels.toSorted());
  });
  describe.each(Object.entries(cases))('%s', (kernel, variants) => {
    for (const variant of variants) describe(titleOf(variant), () => describeCase(variant));
    it('is what the cases trace', () => {
      expect([...traced()]).toContain(kernel);
    });
  });
}

function describeCase(variant: KernelCase): void {
  const { compute, differentiable, smallest = 0, smallestForGradients = smallest, tolerance = 1e-5 } = variant;
  it('has the eager values', () => expectEager(variant));
  if (differentiable === undefined) return;
  it('has the eager gradients', () =>
    expectEager({
      ...variant,
      compute: withGradients(compute, differentiable),
      smallest: smallestForGradients,
      tolerance: tolerance * 10,
    }));
}

async function expectEager(variant: KernelCase): Promise<void> {
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

function titleOf({ title, inputs }: KernelCase): string {
  const described = Object.values(inputs)
    .map(({ dtype, axes }) => `${dtype} [${axes.join(', ')}]`)
    .join(', ');
  return title === undefined ? described : `${title}: ${described}`;
}
