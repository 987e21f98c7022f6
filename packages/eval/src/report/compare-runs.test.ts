import { seededRandom } from '@blip2/core/random';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { messageOf } from '../__fixtures__/metrics.ts';
import type { BenchmarkRun, ScoredItem } from '../benchmarks/benchmark-run.ts';
import { compareRuns } from './compare-runs.ts';
import { madeUpRun } from './made-up-runs-test-support.ts';
import { shuffled } from './random.ts';

/** A run of items with these scores. */
function runOf(scores: Readonly<Record<string, number>>): BenchmarkRun {
  const items = Object.entries(scores).map(([id, score]): ScoredItem => ({
    id,
    score,
    prediction: `said ${id}`,
    references: [],
  }));
  return { benchmark: 'vqav2', model: 'm', date: '2026-01-01', versions: {}, mainScore: 'accuracy', scores: {}, items };
}

it('tells the difference, the shares and the largest changes', () => {
  const before = runOf({ a: 100, b: 30, c: 0, d: 60, e: 90 });
  const after = runOf({ e: 90, d: 0, c: 100, b: 60, a: 90 });
  const comparison = compareRuns(before, after, { examples: 1, samples: 500 });
  expect(comparison.difference).toBeCloseTo((-10 + 30 + 100 - 60) / 5);
  expect([comparison.better, comparison.equal, comparison.worse]).toEqual([2 / 5, 1 / 5, 2 / 5]);
  expect(comparison.changes.map(({ first, difference }) => [first.id, difference])).toEqual([
    ['c', 100],
    ['b', 30],
    ['e', 0],
    ['a', -10],
    ['d', -60],
  ]);
  expect(comparison.improvements.map(({ second }) => second.id)).toEqual(['c']);
  expect(comparison.regressions.map(({ second }) => second.id)).toEqual(['d']);
  expect(comparison.interval[0]).toBeLessThan(comparison.difference);
  expect(comparison.interval[1]).toBeGreaterThan(comparison.difference);
  expect(comparison.first).toBe(before);
});

describe('properties', () => {
  const scores = fc.dictionary(fc.string(), fc.constantFrom(0, 30, 60, 90, 100), { minKeys: 1, maxKeys: 30 });
  const pair = scores.chain((first) =>
    fc
      .tuple(...Object.keys(first).map(() => fc.constantFrom(0, 30, 60, 90, 100)))
      .map(
        (second) =>
          [runOf(first), runOf(Object.fromEntries(Object.keys(first).map((id, index) => [id, second[index]!])))] as const,
      ),
  );
  const options = { samples: 50 };

  it('a run does not differ from itself', () => {
    fc.assert(
      fc.property(pair, ([run]) => {
        expect(compareRuns(run, run, options)).toMatchObject({
          difference: 0,
          interval: [0, 0],
          better: 0,
          equal: 1,
          worse: 0,
          improvements: [],
          regressions: [],
        });
      }),
    );
  });

  it('the other way round, everything is negated', () => {
    fc.assert(
      fc.property(pair, ([first, second]) => {
        const [there, back] = [compareRuns(first, second, options), compareRuns(second, first, options)];
        expect(back.difference).toBe(-there.difference + 0);
        expect(back.interval).toEqual([-there.interval[1] + 0, -there.interval[0] + 0]);
        expect([back.better, back.equal, back.worse]).toEqual([there.worse, there.equal, there.better]);
      }),
    );
  });

  it('the order of the items does not matter', () => {
    fc.assert(
      fc.property(pair, fc.integer(), ([first, second], seed) => {
        const mixed = { ...second, items: shuffled(second.items, seededRandom(seed)) };
        const mixedFirst = { ...first, items: shuffled(first.items, seededRandom(seed + 1)) };
        const { difference, interval } = compareRuns(mixedFirst, mixed, options);
        expect({ difference, interval }).toEqual(
          (({ difference: d, interval: i }) => ({ difference: d, interval: i }))(compareRuns(first, second, options)),
        );
      }),
    );
  });

  it('the difference is that of the means', () => {
    fc.assert(
      fc.property(pair, ([first, second]) => {
        const mean = ({ items }: BenchmarkRun): number => items.reduce((sum, { score }) => sum + score, 0) / items.length;
        expect(compareRuns(first, second, options).difference).toBeCloseTo(mean(second) - mean(first), 9);
      }),
    );
  });
});

it('every benchmark can be compared, retrieval with ids that come once in each direction too', () => {
  for (const benchmark of ['coco-caption', 'nocaps', 'vqav2', 'gqa', 'flickr30k'] as const) {
    const run = madeUpRun(benchmark, { count: 30 });
    const worse = { ...run, items: run.items.map((item) => ({ ...item, score: item.score / 2 })) };
    expect(compareRuns(run, worse, { samples: 50 }).difference).toBeLessThan(0);
  }
});

it('says which items differ', () => {
  const run = runOf({ a: 1, b: 2, c: 3 });
  expect(messageOf(() => compareRuns(run, runOf({ a: 1, b: 2, d: 3, e: 4 })))).toMatchInlineSnapshot(
    `"compareRuns: the runs have different items: 1 of the first are not in the second ('c'), and 2 of the second are not in the first ('d', 'e'). Expected the same ids in both. Score both on one annotation file, or take the items out that one lacks."`,
  );
  expect(messageOf(() => compareRuns(run, runOf({ a: 1 })))).toMatchInlineSnapshot(
    `"compareRuns: the runs have different items: 2 of the first are not in the second ('b', 'c'). Expected the same ids in both. Score both on one annotation file, or take the items out that one lacks."`,
  );
  expect(messageOf(() => compareRuns(run, { ...run, benchmark: 'gqa' }))).toMatchInlineSnapshot(
    `"compareRuns: the first run has the benchmark 'vqav2', the second 'gqa', expected the same. Compare runs of one benchmark."`,
  );
  expect(messageOf(() => compareRuns(run, { ...run, mainScore: 'CIDEr' }))).toMatchInlineSnapshot(
    `"compareRuns: the first run has the mainScore 'accuracy', the second 'CIDEr', expected the same. Compare runs of one benchmark."`,
  );
  expect(messageOf(() => compareRuns(run, { ...run, items: [...run.items, run.items[0]!] }))).toMatchInlineSnapshot(
    `"compareRuns: the second run has two items with the id 'a' and the same groups, expected one. Remove one of them."`,
  );
  expect(messageOf(() => compareRuns({ ...run, items: [] }, { ...run, items: [] }))).toMatchInlineSnapshot(
    `"compareRuns: got no items, expected at least one. Check the files or the subset."`,
  );
  const numbered = { ...run, items: run.items.map((item, index) => ({ ...item, id: index })) };
  const spelled = { ...run, items: run.items.map((item, index) => ({ ...item, id: String(index) })) };
  expect(messageOf(() => compareRuns(numbered, spelled))).toMatchInlineSnapshot(
    `"compareRuns: the runs have different items: 3 of the first are not in the second (0, 1, 2), and 3 of the second are not in the first ('0', '1', '2'). Expected the same ids in both. Score both on one annotation file, or take the items out that one lacks."`,
  );
});
