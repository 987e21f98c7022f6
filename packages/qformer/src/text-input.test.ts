import { expectNoLeak } from '@blip2/testing';
import { describe, expect, it } from 'vitest';
import { QFORMER_MATCHING } from './qformer-config.ts';
import { textTensors, withoutImageTokens } from './text-input.ts';

describe('textTensors', () => {
  const read = (ids: number[][], mask: number[][] = ids.map((row) => row.map(() => 1))) =>
    textTensors({ ids, mask }, QFORMER_MATCHING, 'match: text');

  it('makes int32 tensors', () => {
    const { ids, mask } = read(
      [
        [101, 5, 102],
        [101, 102, 0],
      ],
      [
        [1, 1, 1],
        [1, 1, 0],
      ],
    );
    expect([ids.dtype, mask.dtype, ids.shape, mask.shape]).toEqual(['int32', 'int32', [2, 3], [2, 3]]);
    expect([...mask.dataSync()]).toEqual([1, 1, 1, 1, 1, 0]);
  });

  it('refuses what the Q-Former cannot read, without leaving tensors', () =>
    expectNoLeak(() => {
      const long = Array.from({ length: 513 }, () => 7);
      expect(() => read([])).toThrowErrorMatchingInlineSnapshot(
        `[InputError: match: text is empty, expected a text of at least one token in each row. Tokenize with special tokens.]`,
      );
      expect(() => read([[], []])).toThrow('is empty');
      expect(() => read([long])).toThrowErrorMatchingInlineSnapshot(
        `[InputError: match: text is 513 tokens long, expected at most 512, the Q-Former's positions. Shorten or truncate it.]`,
      );
      expect(() => read([[101, 102]], [])).toThrowErrorMatchingInlineSnapshot(
        `[InputError: match: text has 1 rows of ids and 0 of mask, expected as many of both. Pass them as the tokenizer gives them.]`,
      );
      expect(() => read([[101, 102], [101]])).toThrowErrorMatchingInlineSnapshot(
        `[InputError: match: text, row 1: 1 ids and 1 mask values, expected 2 of both as in row 0. Pad the rows to one length.]`,
      );
      expect(() => read([[101, 30523]])).toThrowErrorMatchingInlineSnapshot(
        `[InputError: match: text, row 0: token id 30523, expected whole numbers from 0 to 30522. Use the Q-Former's own tokenizer (BERT's), and leave image tokens out.]`,
      );
      expect(() => read([[101, -1]])).toThrow('token id -1');
      expect(() => read([[101, 1.5]])).toThrow('token id 1.5');
      expect(() => read([[0, 101, 102]], [[0, 1, 1]])).toThrowErrorMatchingInlineSnapshot(
        `[InputError: match: text, row 0: the mask is [0, 1, 1], expected ones for real tokens, then zeros. Pad on the right.]`,
      );
      expect(() => read([[101, 5, 102]], [[1, 0, 1]])).toThrow('Pad on the right');
      expect(() => read([[101, 5, 102]], [[1, 2, 0]])).toThrow('Pad on the right');
      expect(() => read([[101, 102]], [[0, 0]])).toThrow('Pad on the right');
    }));
});

describe('withoutImageTokens', () => {
  it('strips placeholders, if there are any', () => {
    const text = { ids: [[101, 5, 102]], mask: [[1, 1, 1]] };
    expect(withoutImageTokens({ ids: [[9, 9, 101, 5, 102]], mask: [[1, 1, 1, 1, 1]] }, 9)).toEqual(text);
    expect(withoutImageTokens(text, 9)).toEqual(text);
  });

  it('refuses rows that begin differently', () => {
    const ragged = {
      ids: [
        [9, 9, 101],
        [9, 101, 102],
      ],
      mask: [
        [1, 1, 1],
        [1, 1, 1],
      ],
    };
    expect(() => withoutImageTokens(ragged, 9)).toThrowErrorMatchingInlineSnapshot(
      `[InputError: withoutImageTokens: row 1 begins with 1 image tokens, row 0 with 2, expected the same number. Put them in front of right-padded texts.]`,
    );
  });
});
