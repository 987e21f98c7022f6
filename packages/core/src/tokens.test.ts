import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tokenBatch } from './tokens.ts';

describe('tokenBatch', () => {
  it('pads to the longest row, right or left', () => {
    const rows = [[5, 6, 7], [8], []];
    expect(tokenBatch(rows, { padTokenId: 1 })).toEqual({
      ids: [
        [5, 6, 7],
        [8, 1, 1],
        [1, 1, 1],
      ],
      mask: [[1, 1, 1], [1, 0, 0], [0, 0, 0]], // prettier-ignore
    });
    expect(tokenBatch(rows, { padTokenId: 1, side: 'left' })).toEqual({
      ids: [
        [5, 6, 7],
        [1, 1, 8],
        [1, 1, 1],
      ],
      mask: [
        [1, 1, 1],
        [0, 0, 1],
        [0, 0, 0],
      ],
    });
  });

  it('pads to a given length and takes no rows at all', () => {
    expect(tokenBatch([[5]], { padTokenId: 0, length: 3 })).toEqual({ ids: [[5, 0, 0]], mask: [[1, 0, 0]] });
    expect(tokenBatch([], { padTokenId: 0 })).toEqual({ ids: [], mask: [] });
  });

  it('counts a real token that equals the padding as real', () => {
    expect(tokenBatch([[1, 1], [4]], { padTokenId: 1 }).mask).toEqual([[1, 1], [1, 0]]); // prettier-ignore
  });

  it('refuses rows over the length', () => {
    expect(() => tokenBatch([[1], [1, 2, 3, 4]], { padTokenId: 0, length: 3 })).toThrowErrorMatchingInlineSnapshot(
      `[InputError: tokenBatch: row 1 has 4 tokens, more than the length 3. Truncate it first.]`,
    );
  });

  it('keeps every token where the mask says so (property)', () => {
    const rows = fc.array(fc.array(fc.nat({ max: 9 }), { maxLength: 6 }), { maxLength: 5 });
    fc.assert(
      fc.property(rows, fc.constantFrom('left' as const, 'right' as const), (ids, side) => {
        const batch = tokenBatch(ids, { padTokenId: 3, side });
        expect(new Set(batch.ids.map((row) => row.length)).size).toBeLessThanOrEqual(1);
        expect(batch.ids.map((row, i) => row.filter((_, j) => batch.mask[i]![j] === 1))).toEqual(ids);
      }),
    );
  });
});
