import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { forbidRepeatedNgrams, keepTopK, keepTopP, logSoftmax } from './index.ts';
import { topIndices } from './top-candidates.ts';

// Small integers tie often; the spread makes some tokens all but impossible.
const scores = fc
  .array(fc.integer({ min: -12, max: 6 }), { minLength: 1, maxLength: 600, size: 'max' })
  .map((row) => Float64Array.from(row));

describe('topIndices', () => {
  it('is the beginning of a stable full sort', () => {
    fc.assert(
      fc.property(scores, fc.integer({ min: 0, max: 320 }), fc.boolean(), (row, count, higherFirst) => {
        const direction = higherFirst ? -1 : 1;
        const sorted = Array.from(row.keys()).toSorted((a, b) => row[b]! - row[a]! || (a - b) * direction);
        expect(topIndices(row, count, higherFirst ? 'higher-first' : 'lower-first')).toEqual(sorted.slice(0, count));
      }),
    );
  });

  it('leaves out −Infinity', () => {
    expect(topIndices([Number.NEGATIVE_INFINITY, 1, Number.NEGATIVE_INFINITY, 3], 4)).toEqual([3, 1]);
  });
});

describe('keepTopP', () => {
  it('equals the ascending cumulative sum of the reference', () => {
    fc.assert(
      fc.property(scores, fc.double({ min: 0.01, max: 0.999, noNaN: true }), (row, p) => {
        const probabilities = logSoftmax(row).map(Math.exp);
        const ascending = Array.from(row.keys()).toSorted((a, b) => row[a]! - row[b]! || a - b);
        const expected = row.slice();
        let sum = 0;
        let margin = 1;
        for (const id of ascending.slice(0, -1)) {
          sum += probabilities[id]!;
          margin = Math.min(margin, Math.abs(sum - (1 - p)));
          if (sum <= 1 - p) expected[id] = Number.NEGATIVE_INFINITY;
        }
        fc.pre(margin > 1e-9); // otherwise rounding decides
        expect(keepTopP(row, p)).toEqual(expected);
      }),
    );
  });
});

describe('keepTopK', () => {
  it('keeps the k best and what ties with the last of them', () => {
    fc.assert(
      fc.property(scores, fc.integer({ min: 1, max: 310 }), (row, k) => {
        const lowest = row.toSorted().at(-Math.min(k, row.length))!;
        const expected = row.map((score) => (score < lowest ? Number.NEGATIVE_INFINITY : score));
        expect(keepTopK(row, k)).toEqual(expected);
      }),
    );
  });
});

describe('forbidRepeatedNgrams', () => {
  it('forbids exactly the tokens that would repeat an n-gram', () => {
    const history = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 12 });
    fc.assert(
      fc.property(history, fc.integer({ min: 1, max: 5 }), (ids, size) => {
        const ngrams = (text: readonly number[]): string[] => {
          return Array.from({ length: Math.max(0, text.length - size + 1) }, (_, at) => text.slice(at, at + size).join());
        };
        const repeats = (id: number): boolean => ids.length + 1 >= size && ngrams(ids).includes(ngrams([...ids, id]).at(-1)!);
        const expected = [0, 1, 2, 3].map((id) => (repeats(id) ? Number.NEGATIVE_INFINITY : 0));
        expect([...forbidRepeatedNgrams(new Float32Array(4), ids, size)]).toEqual(expected);
      }),
    );
  });
});
