import type { Matcher } from '@blip2/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rerankCandidates, rerankedScores } from '../retrieval/rerank.ts';
import { evaluateRetrieval } from '../retrieval/retrieval.ts';
import type { Journal } from './journal.ts';
import { ROW_CODEC } from './journal.ts';
import { type CaptionedItem, predictRetrieval } from './predict-retrieval.ts';

/** A matcher of images that are rows of numbers, and what it was asked. */
class TableMatcher implements Matcher<number> {
  matched = 0;
  encoded = 0;
  readonly #similarity: (image: number, text: string) => number;

  constructor(similarity: (image: number, text: string) => number = pseudoRandom) {
    this.#similarity = similarity;
  }

  similarities(images: readonly number[], texts: readonly string[]): Promise<Float32Array[]> {
    this.encoded += images.length;
    return Promise.resolve(images.map((image) => Float32Array.from(texts, (text) => this.#similarity(image, text))));
  }

  match(image: number, texts: readonly string[]): Promise<Float32Array> {
    this.matched += texts.length;
    return Promise.resolve(Float32Array.from(texts, (text) => 3 * pseudoRandom(image + 1000, text)));
  }
}

/** A number in [0, 1) that is always the same for the same arguments. */
function pseudoRandom(image: number, text: string): number {
  const x = Math.sin(image * 12.9898 + Number(text) * 78.233) * 43758.5453;
  return x - Math.floor(x);
}

function itemsOf(captionsPerImage: readonly number[]): CaptionedItem<number>[] {
  let next = 0;
  return captionsPerImage.map((count, image) => ({
    id: image,
    image,
    captions: Array.from({ length: count }, () => String(next++)),
  }));
}

const settings = (rerank: number) => ({ imageSize: 224, rerank });

describe('predictRetrieval', () => {
  test('equals ranking every pair and choosing afterwards', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 10 }),
        async (captionsPerImage, rerank) => {
          const items = itemsOf(captionsPerImage);
          const texts = items.flatMap(({ captions }) => captions);
          const matcher = new TableMatcher();
          const result = await predictRetrieval(items, matcher, settings(rerank), { batchSize: 3 });
          const similarity = await matcher.similarities(
            items.map(({ image }) => image),
            texts,
          );
          const transposed = texts.map((_, text) => Float32Array.from(similarity, (row) => row[text]!));
          const logit = (image: number, text: number): number => Math.fround(3 * pseudoRandom(image + 1000, texts[text]!));
          const ofImages = rerankCandidates(similarity, rerank).candidates;
          const ofTexts = rerankCandidates(transposed, rerank).candidates;
          expect(result.imageToText).toEqual(
            rerankedScores(
              similarity,
              ofImages,
              ofImages.map((some, image) => some.map((text) => logit(image, text))),
            ),
          );
          expect(result.textToImage).toEqual(
            rerankedScores(
              transposed,
              ofTexts,
              ofTexts.map((some, text) => some.map((image) => logit(image, text))),
            ),
          );
          expect(result.captionsPerImage).toEqual(captionsPerImage);
          expect(result.reranked).toEqual({ captions: Math.min(rerank, texts.length), images: Math.min(rerank, items.length) });
          expect(matcher.matched).toBeLessThanOrEqual(items.length * texts.length); // no pair twice
        },
      ),
    );
  });

  test('never changes the recall at as many as were ranked again', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 1000 }), async (seed) => {
        const items = itemsOf(Array.from({ length: 12 }, () => 1));
        const matcher = new TableMatcher((image, text) => pseudoRandom(image + seed, text));
        const before = await predictRetrieval(items, matcher, settings(0));
        const after = await predictRetrieval(items, matcher, settings(5));
        const [plain, ranked] = [evaluateRetrieval(before), evaluateRetrieval(after)];
        expect([ranked.text.r5, ranked.image.r5]).toEqual([plain.text.r5, plain.image.r5]);
      }),
    );
  });

  test('without re-ranking nothing is matched', async () => {
    const matcher = new TableMatcher();
    await predictRetrieval(itemsOf([2, 2]), matcher, settings(0));
    expect(matcher.matched).toBe(0);
  });

  test('goes on where it was interrupted, in both passes', async () => {
    const items = itemsOf([2, 1, 3, 2]);
    const whole = await predictRetrieval(items, new TableMatcher(), settings(2));
    for (const interruptAfter of [1, 3, 4, 5, 7]) {
      const journal = new MemoryJournal(interruptAfter);
      await expect(predictRetrieval(items, new TableMatcher(), settings(2), { batchSize: 1, journal })).rejects.toThrow(
        'the machine went down',
      );
      journal.failAfter = Number.POSITIVE_INFINITY;
      const matcher = new TableMatcher();
      expect(await predictRetrieval(items, matcher, settings(2), { batchSize: 1, journal })).toEqual(whole);
      expect(matcher.encoded).toBe(Math.max(0, items.length - interruptAfter));
    }
  });

  test('refuses images without captions and matchers that count differently', async () => {
    await expect(
      predictRetrieval([{ id: 7, image: 0, captions: [] }], new TableMatcher(), settings(1)),
    ).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: predictRetrieval: image 7 has no caption, expected at least one. Leave the image out.]`,
    );
    const short: Matcher<number> = {
      similarities: (images) => Promise.resolve(images.map(() => new Float32Array(1))),
      match: () => Promise.resolve(new Float32Array(1)),
    };
    await expect(predictRetrieval(itemsOf([2]), short, settings(1))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: predictRetrieval: the matcher gave 1 scores for 2 texts, expected one each.]`,
    );
  });
});

test('rows in a journal are the same bits', () => {
  const float = fc.float({ noNaN: true });
  fc.assert(
    fc.property(fc.array(float), (values) => {
      const row = Float32Array.from(values);
      expect(ROW_CODEC.fromJson(JSON.parse(JSON.stringify(ROW_CODEC.toJson(row))))).toEqual(row);
    }),
  );
  for (const broken of [undefined, 7, '%', 'AAA=']) expect(ROW_CODEC.fromJson(broken)).toBeUndefined();
});

/** Keeps entries, and fails after some. */
class MemoryJournal implements Journal {
  failAfter: number;
  readonly #entries: Map<string, unknown> = new Map();

  constructor(failAfter: number) {
    this.failAfter = failAfter;
  }

  take(part: string, id: number | string): unknown {
    return this.#entries.get(`${part} ${id}`);
  }

  append(part: string, entries: readonly (readonly [number | string, unknown])[]): Promise<void> {
    if (this.#entries.size >= this.failAfter) return Promise.reject(new Error('the machine went down'));
    for (const [id, value] of entries) this.#entries.set(`${part} ${id}`, value);
    return Promise.resolve();
  }
}
