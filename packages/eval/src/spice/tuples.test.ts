import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { messageOf, readMetrics } from '../__fixtures__/metrics.ts';
import type { WordTables } from '../word-tables.ts';
import type { SceneTuple } from './graph.ts';
import { mergedTuples } from './graph.ts';
import { spiceTupleScores } from './tuples.ts';

type GoldenScore = Record<'pr' | 're' | 'f' | 'tp' | 'fp' | 'fn', number | null>;
const golden = readMetrics('spice.json') as {
  synonyms: { synsets: Record<string, number[]>; exceptions: Record<string, string[]> };
  tuples: { test: SceneTuple[]; refs: SceneTuple[]; scores: Record<string, GoldenScore>; testTuples: { tuple: string[] }[] }[];
  tuplesNoSynsets: { index: number; scores: GoldenScore }[];
};
const synonyms: WordTables = {
  synsets: new Map(Object.entries(golden.synonyms.synsets)),
  exceptions: new Map(
    Object.entries(golden.synonyms.exceptions).flatMap(([base, forms]) => forms.map((form) => [form, [base]] as const)),
  ),
};

/** The lists of SPICE 1.0. */
const lists = readMetrics('spice-tables.json') as Record<'cardinality' | 'color' | 'size', string[]>;
const attributeWords = { Cardinality: lists.cardinality, Color: lists.color, Size: lists.size };

/** Counts are equal, scores to 1e-12. */
function expectScore(actual: GoldenScore, expected: GoldenScore): void {
  for (const key of ['tp', 'fp', 'fn'] as const) expect(actual[key]).toBe(expected[key]);
  for (const key of ['pr', 're', 'f'] as const) {
    if (expected[key] === null) expect(actual[key]).toBeNaN();
    else expect(actual[key]).toBeCloseTo(expected[key], 12);
  }
}

describe('scores of tuples against SPICE 1.0', () => {
  it.each(golden.tuples.map((one, index) => [index, one] as const))('graph %i', (_, { test, refs, scores, testTuples }) => {
    const found = spiceTupleScores(test, refs, { synonyms, attributeWords });
    expect(Object.keys(found).toSorted()).toEqual(Object.keys(scores).toSorted());
    for (const [name, score] of Object.entries(scores)) expectScore(found[name] as never, score);
    const names = mergedTuples(test, synonyms).map((tuple) => tuple.map(({ words }) => [...words].toSorted().join('/')).join());
    const expected = testTuples.map(({ tuple }) => tuple.map((part) => part.split('/').toSorted().join('/')).join());
    expect(names.toSorted()).toEqual(expected.toSorted());
  });

  it('without synonyms', () => {
    for (const { index, scores } of golden.tuplesNoSynsets) {
      const { test, refs } = golden.tuples[index]!;
      expectScore(spiceTupleScores(test, refs)['All'] as never, scores);
    }
  });

  it('without lists of words there are no categories of words', () => {
    expect(Object.keys(spiceTupleScores([['dog']], [['dog']]))).toEqual(['All', 'Object', 'Attribute', 'Relation']);
  });
});

describe('spiceTupleScores', () => {
  const word = fc.constantFrom('dog', 'hound', 'cat', 'car', 'red', 'big');
  const tuples = fc.array(fc.array(word, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 6 });

  it('a graph agrees with itself', () => {
    fc.assert(
      fc.property(tuples, (graph) => {
        expect(spiceTupleScores(graph, graph)['All']).toMatchObject({ f: 1, fp: 0, fn: 0 });
      }),
    );
  });

  it('nothing at all is 0 as a whole, and not a number in parts', () => {
    const { All, Object: objects } = spiceTupleScores([], []);
    expect([All!.f, objects!.f]).toEqual([0, Number.NaN]);
  });

  it('says what a tuple is', () => {
    expect(messageOf(() => spiceTupleScores([['a', 'b', 'c', 'd']], []))).toMatchInlineSnapshot(
      `"spiceTupleScores: a tuple has 4 parts, expected [object], [object, attribute] or [subject, object, relation]. Check the parser's output."`,
    );
  });
});
