import { describe, expect, it } from 'vitest';
import { expectRelative, messageOf, readMetrics } from '../__fixtures__/metrics.ts';
import { documentFrequencies } from './cider.ts';
import { selfCriticalRewards, tokenRowText } from './self-critical.ts';

const golden = readMetrics('cider-d.json').selfCritical as {
  references: number[][][];
  samples: number[][];
  greedy: number[][];
  dfRows: string[][];
  refLen: number;
  sampleScores: number[];
  rewards: number[];
};
const frequencies = documentFrequencies(golden.dfRows);

describe('self-critical rewards', () => {
  it('equal the reference', () => {
    const { references, samples, greedy } = golden;
    const { rewards, scores } = selfCriticalRewards({ references, samples, greedy, frequencies });
    expect(frequencies.images).toBe(golden.refLen);
    expectRelative(scores, golden.sampleScores);
    expectRelative(rewards, golden.rewards);
  });

  it('rows end with the first 0', () => {
    expect(
      [
        [4, 0, 3],
        [0, 0],
        [4, 5],
      ].map(tokenRowText),
    ).toEqual(['4 0', '0', '4 5']);
    expect(tokenRowText(Int32Array.of(7, 0))).toBe('7 0');
  });

  it('samples and images must fit', () => {
    const wrong = [
      () => selfCriticalRewards({ ...golden, samples: golden.samples.slice(1), frequencies }),
      () => selfCriticalRewards({ samples: [], greedy: [], references: [], frequencies }),
    ];
    expect(wrong.map(messageOf).join('\n')).toMatchInlineSnapshot(`
      "selfCriticalRewards: got references of 4 images, 4 greedy rows and 11 samples, expected one greedy row and the same number of samples an image. Repeat the images as the samples were drawn.
      selfCriticalRewards: got references of 0 images, 0 greedy rows and 0 samples, expected one greedy row and the same number of samples an image. Repeat the images as the samples were drawn."
    `);
  });
});
