import { describe, expect, it } from 'vitest';
import { spread } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank } from '@tensorflow/tfjs-core';
import { byteTokenizer, toyOptConfig, toyT5Config } from './__fixtures__/toy-models.ts';
import { optPromptTokens, optTrainingTokens } from './opt-prompt.ts';
import { layOutPrompts, placeVisualPrompt } from './prompt.ts';
import { t5PromptTokens, t5TrainingTokens } from './t5-prompt.ts';

const bytes = (text: string): number[] => byteTokenizer.encode(text, { addSpecialTokens: false });

describe('layout', () => {
  const options = { queries: 2, imageTokenId: 7, padTokenId: 0 };

  it('puts the queries before the padding', () => {
    expect(layOutPrompts({ ids: [[0, 1, 9]], mask: [[0, 1, 1]] }, options)).toEqual({
      queries: 2,
      historyIds: [[7, 7, 0, 1, 9]],
      ids: [[0, 0, 0, 1, 9]],
      mask: [[1, 1, 0, 1, 1]],
      queryAt: [[0, 1, -1, -1, -1]],
    });
  });

  it('has no placeholders where the model has none', () => {
    const { historyIds, mask } = layOutPrompts({ ids: [[1, 9]], mask: [[1, 1]] }, { ...options, imageTokenId: undefined });
    expect({ historyIds, mask }).toEqual({ historyIds: [[1, 9]], mask: [[1, 1, 1, 1]] });
  });

  it('puts queries where the ids have placeholders, wherever that is', () => {
    const layout = layOutPrompts(
      {
        ids: [
          [7, 7, 5],
          [5, 7, 7],
        ],
        mask: [
          [1, 1, 1],
          [1, 1, 1],
        ],
      },
      options,
    );
    expect(layout.queryAt).toEqual([
      [0, 1, -1],
      [-1, 0, 1],
    ]);
    tf.tidy(() => {
      const visual = spread<Rank.R3>([2, 2, 4], 1);
      const tokens = spread<Rank.R3>([2, 3, 4], 2);
      const placed = placeVisualPrompt(layout, visual, tokens);
      const first = tf.concat([tf.slice(visual, [0, 0, 0], [1, 2, 4]), tf.slice(tokens, [0, 2, 0], [1, 1, 4])], 1);
      const second = tf.concat([tf.slice(tokens, [1, 0, 0], [1, 1, 4]), tf.slice(visual, [1, 0, 0], [1, 2, 4])], 1);
      expect(placed).toBeAllclose(tf.concat([first, second], 0), 0);
    });
  });

  it('refuses another number of placeholders', () => {
    const batch = {
      ids: [
        [7, 7, 5],
        [7, 5, 5],
      ],
      mask: [
        [1, 1, 1],
        [1, 1, 1],
      ],
    };
    expect(() => layOutPrompts(batch, options)).toThrowErrorMatchingInlineSnapshot(
      `[InputError: Prompt ids: row 1 has 1 image placeholders (id 7), but the visual prompt has 2 queries. Put 2 of them in each row, or none at all: then the queries go in front.]`,
    );
  });
});

describe('OPT', () => {
  it('pads texts on the left, and begins an empty one', () => {
    const { ids, mask } = optPromptTokens(['ab', ''], byteTokenizer, toyOptConfig);
    expect({ ids, mask }).toEqual({
      ids: [
        [1, ...bytes('ab')],
        [0, 0, 1],
      ],
      mask: [
        [1, 1, 1],
        [0, 0, 1],
      ],
    });
    const without = { ...byteTokenizer, encode: () => [] };
    expect(optPromptTokens([''], without, toyOptConfig).ids).toEqual([[toyOptConfig.beginTokenId]]);
  });

  it('moves padding from the right to the left, and leaves it elsewhere', () => {
    const right = {
      ids: [
        [1, 5, 0],
        [1, 5, 6],
      ],
      mask: [
        [1, 1, 0],
        [1, 1, 1],
      ],
    };
    expect(optPromptTokens(right, byteTokenizer, toyOptConfig)).toEqual({
      ids: [
        [0, 1, 5],
        [1, 5, 6],
      ],
      mask: [
        [0, 1, 1],
        [1, 1, 1],
      ],
    });
    const left = { ids: [[7, 0, 5]], mask: [[1, 0, 1]] };
    expect(optPromptTokens(left, byteTokenizer, toyOptConfig)).toBe(left);
    expect(() => optPromptTokens({ ids: [[0]], mask: [[0]] }, byteTokenizer, toyOptConfig)).toThrowErrorMatchingInlineSnapshot(
      `[InputError: Prompt ids: row 0 is all padding. Give it at least the begin token.]`,
    );
  });

  it('masks the prompt, begin token included, and ends the target', () => {
    const batch = optTrainingTokens({ prompts: ['a', ''], targets: ['bc', 'd'] }, byteTokenizer, toyOptConfig, 32);
    expect(batch).toEqual({
      ids: [
        [1, ...bytes('a bc'), 2],
        [1, ...bytes('d'), 2, 0, 0, 0],
      ],
      mask: [
        [1, 1, 1, 1, 1, 1],
        [1, 1, 1, 0, 0, 0],
      ],
      labels: [
        [-100, -100, ...bytes(' bc'), 2],
        [1, ...bytes('d'), 2, -100, -100, -100],
      ],
    });
  });

  it('cuts long texts, and refuses to cut a whole target', () => {
    const cut = optTrainingTokens({ prompts: [''], targets: ['abcdef'] }, byteTokenizer, toyOptConfig, 4);
    expect(cut.ids).toEqual([[1, ...bytes('abc')]]);
    const nothingLeft = () => optTrainingTokens({ prompts: ['abcdef'], targets: ['g'] }, byteTokenizer, toyOptConfig, 4);
    expect(nothingLeft).toThrowErrorMatchingInlineSnapshot(
      `[InputError: loss: prompt 0 takes 7 of 4 tokens and leaves none to its target 'g'. Shorten it, or raise maxTextTokens.]`,
    );
  });
});

describe('T5', () => {
  // A tokenizer that ends texts, as T5's does.
  const tokenizer = { ...byteTokenizer, encode: (text: string) => [...bytes(text), 2] };

  it('pads on the right, and ends an empty text', () => {
    expect(t5PromptTokens(['ab', ''], tokenizer, toyT5Config)).toEqual({
      ids: [
        [...bytes('ab'), 2],
        [2, 0, 0],
      ],
      mask: [
        [1, 1, 1],
        [1, 0, 0],
      ],
    });
  });

  it('keeps the end of what it cuts', () => {
    const batch = t5TrainingTokens({ prompts: ['abcd', ''], targets: ['e', 'fghi'] }, tokenizer, toyT5Config, 3);
    expect(batch).toEqual({
      ids: [
        [...bytes('ab'), 2],
        [2, 0, 0],
      ],
      mask: [
        [1, 1, 1],
        [1, 0, 0],
      ],
      labels: [
        [...bytes('e'), 2, -100],
        [...bytes('fg'), 2],
      ],
      decoderMask: [
        [1, 1, 0],
        [1, 1, 1],
      ],
    });
  });
});
