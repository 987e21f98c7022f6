import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectRelative, readMetrics } from '../__fixtures__/metrics.ts';
import { cider, documentFrequencies } from './cider.ts';
import type { TokenizedCaptions } from './tokenizer.ts';

const golden = readMetrics('cider-d.json') as {
  input: TokenizedCaptions[];
  corpusDf: { ciderD: number; ciderDPerImage: number[]; ciderPlain: number; ciderPlainPerImage: number[] };
  precomputedDf: {
    dfCorpus: string[][];
    refLen: number;
    distinctNgrams: number;
    dfSamples: [string, number][];
    ciderD: number;
    ciderDPerImage: number[];
    singleImage: { index: number; ciderD: number };
  };
};

describe('cider against the reference', () => {
  it('CIDEr-D, frequencies of the references', () => {
    const { corpus, perImage } = cider(golden.input);
    expectRelative([corpus, ...perImage], [golden.corpusDf.ciderD, ...golden.corpusDf.ciderDPerImage]);
  });

  it('plain CIDEr', () => {
    const { corpus, perImage } = cider(golden.input, { variant: 'cider' });
    expectRelative([corpus, ...perImage], [golden.corpusDf.ciderPlain, ...golden.corpusDf.ciderPlainPerImage]);
  });

  it('frequencies of another corpus', () => {
    const { dfCorpus, refLen, distinctNgrams, dfSamples, ciderD, ciderDPerImage, singleImage } = golden.precomputedDf;
    const frequencies = documentFrequencies(dfCorpus);
    expect(frequencies.images).toBe(refLen);
    expect(frequencies.counts.size).toBe(distinctNgrams);
    expect(dfSamples.map(([gram]) => frequencies.counts.get(gram))).toEqual(dfSamples.map(([, count]) => count));
    const { corpus, perImage } = cider(golden.input, { frequencies });
    expectRelative([corpus, ...perImage], [ciderD, ...ciderDPerImage]);
    expectRelative([cider([golden.input[singleImage.index]!], { frequencies }).corpus], [singleImage.ciderD]);
  });
});

/** A sentence of few words, so that n-grams recur. */
const sentence = fc
  .array(fc.constantFrom('a', 'dog', 'cat', 'runs', 'on', 'grass', 'red'), { maxLength: 9 })
  .map((words) => words.join(' '));
const captions = fc.array(fc.record({ candidate: sentence, references: fc.array(sentence, { minLength: 1, maxLength: 4 }) }), {
  minLength: 1,
  maxLength: 6,
});

describe('cider', () => {
  it('equals a version with loops over all n-grams of all sentences', () => {
    fc.assert(
      fc.property(captions, fc.constantFrom('cider' as const, 'cider-d' as const), (images, variant) => {
        const { perImage } = cider(images, { variant });
        for (const [index, value] of perImage.entries()) expect(value).toBeCloseTo(naiveCider(images, index, variant), 9);
      }),
    );
  });

  it('does not depend on the order of references or images, and lies in [0, 10]', () => {
    fc.assert(
      fc.property(captions, (images) => {
        const turned = images
          .toReversed()
          .map(({ candidate, references }) => ({ candidate, references: references.toReversed() }));
        const [one, other] = [cider(images).perImage, cider(turned).perImage.toReversed()];
        for (const [index, value] of one.entries()) {
          expect(value).toBeCloseTo(other[index]!, 9);
          expect(value).toBeGreaterThanOrEqual(0);
          expect(value).toBeLessThanOrEqual(10 + 1e-9);
        }
      }),
    );
  });

  it('is 0 for a single image, whose words are in every image', () => {
    expect(cider([{ candidate: 'a dog', references: ['a dog'] }])).toEqual({ corpus: 0, perImage: [0] });
  });

  it('says what is missing', () => {
    expect(() => cider([])).toThrowErrorMatchingInlineSnapshot(
      `[InputError: documentFrequencies: the corpus has no images, expected at least one. Pass the references.]`,
    );
    expect(() =>
      cider([
        { candidate: 'a', references: ['a'] },
        { candidate: 'a', references: [] },
      ]),
    ).toThrowErrorMatchingInlineSnapshot(
      `[InputError: cider: image 1 has no references, expected at least one. Leave the image out, or add its captions.]`,
    );
  });
});

/** Straight from the formulas, without any index. */
function naiveCider(images: readonly TokenizedCaptions[], index: number, variant: 'cider' | 'cider-d'): number {
  const grams = (text: string, n: number): string[] => {
    const words = text.split(' ').filter((word) => word !== '');
    return words
      .map((_, start) => words.slice(start, start + n))
      .filter((one) => one.length === n)
      .map((one) => one.join(' '));
  };
  const { candidate, references } = images[index]!;
  let total = 0;
  for (let n = 1; n <= 4; n += 1) {
    const weight = (text: string, gram: string): number => {
      const count = grams(text, n).filter((one) => one === gram).length;
      const frequency = images.filter((image) => image.references.some((reference) => grams(reference, n).includes(gram))).length;
      return count * (Math.log(images.length) - Math.log(Math.max(1, frequency)));
    };
    const norm = (text: string): number => Math.hypot(...[...new Set(grams(text, n))].map((gram) => weight(text, gram)));
    for (const reference of references) {
      let product = 0;
      for (const gram of new Set(grams(candidate, n))) {
        const [mine, theirs] = [weight(candidate, gram), weight(reference, gram)];
        product += (variant === 'cider-d' ? Math.min(mine, theirs) : mine) * theirs;
      }
      const norms = norm(candidate) * norm(reference);
      const gap = grams(candidate, 2).length - grams(reference, 2).length;
      total += (norms > 0 ? product / norms : 0) * (variant === 'cider-d' ? Math.exp((-gap * gap) / 72) : 1);
    }
  }
  return (10 * total) / 4 / references.length;
}
