import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectRelative, messageOf, readMetrics } from '../__fixtures__/metrics.ts';
import { bestCandidates, bestRank } from './ranks.ts';
import { rerankCandidates, rerankedScores } from './rerank.ts';
import { evaluateRetrieval, recallAt } from './retrieval.ts';
import type { RetrievalScores } from './retrieval.ts';

interface Case {
  name: string;
  captionsPerImage: number[];
  scoresI2T: number[][];
  scoresT2I: number[][];
  metrics: Record<string, number>;
}
const golden = readMetrics('retrieval.json') as {
  metricCases: (Case & { ranksI2T: number[]; ranksT2I: number[] })[];
  rerankCases: (Case & {
    kTest: number;
    imageQueryEmbeddings: number[][][];
    textEmbeddings: number[][];
    itmScores: number[][];
  })[];
  tieConvention: { cases: { scores: number[]; relevant: number[]; order: number[]; rank: number }[] };
};

describe('retrieval against LAVIS', () => {
  it.each(golden.metricCases)('$name', ({ captionsPerImage, scoresI2T, scoresT2I, metrics, ranksI2T, ranksT2I }) => {
    const scores = evaluateRetrieval({ imageToText: scoresI2T, textToImage: scoresT2I, captionsPerImage });
    expect(scores.textRanks).toEqual(ranksI2T);
    expect(scores.imageRanks).toEqual(ranksT2I);
    expectMetrics(scores, metrics);
  });

  it.each(golden.rerankCases)('ranked again: $name', (one) => {
    const similarity = similarities(one.imageQueryEmbeddings, one.textEmbeddings); // [images, captions]
    const imageToText = rerank(similarity, one.kTest, (image, caption) => one.itmScores[image]![caption]!);
    const textToImage = rerank(transposed(similarity), one.kTest, (caption, image) => one.itmScores[image]![caption]!);
    for (const [scores, expected] of [
      [imageToText, one.scoresI2T],
      [textToImage, one.scoresT2I],
    ] as const) {
      const worst = Math.max(
        ...expected.flatMap((row, index) => row.map((value, column) => Math.abs(value - scores[index]![column]!))),
      );
      expect(worst).toBeLessThanOrEqual(1e-4);
    }
    expectMetrics(evaluateRetrieval({ imageToText, textToImage, captionsPerImage: one.captionsPerImage }), one.metrics);
  });

  it.each(golden.tieConvention.cases)('equal scores: $scores, relevant $relevant', ({ scores, relevant, order, rank }) => {
    expect(bestCandidates(scores, scores.length)).toEqual(order);
    expect(bestRank(scores, relevant)).toBe(rank);
  });
});

function expectMetrics({ text, image, mean }: RetrievalScores, metrics: Record<string, number>): void {
  const all: Record<string, number> = {
    txt_r1: text.r1,
    txt_r5: text.r5,
    txt_r10: text.r10,
    txt_r_mean: text.mean,
    agg_metrics: text.mean,
    img_r1: image.r1,
    img_r5: image.r5,
    img_r10: image.r10,
    img_r_mean: image.mean,
    r_mean: mean,
  };
  const names = Object.keys(metrics);
  expectRelative(
    names.map((name) => all[name]!),
    names.map((name) => metrics[name]!),
  );
}

function rerank(similarity: number[][], topK: number, match: (row: number, column: number) => number): Float32Array[] {
  const { candidates } = rerankCandidates(similarity, topK);
  return rerankedScores(
    similarity,
    candidates,
    candidates.map((row, index) => row.map((column) => match(index, column))),
  );
}

/** The largest cosine over queries. */
function similarities(images: number[][][], texts: number[][]): number[][] {
  const normalized = (x: number[]): number[] => x.map((value) => value / Math.hypot(...x));
  const dot = (x: number[], y: number[]): number => x.reduce((sum, value, index) => sum + value * y[index]!, 0);
  const [queries, features] = [images.map((image) => image.map(normalized)), texts.map(normalized)];
  return queries.map((image) => features.map((text) => Math.max(...image.map((query) => dot(query, text)))));
}

function transposed(matrix: number[][]): number[][] {
  return matrix[0]!.map((_, column) => matrix.map((row) => row[column]!));
}

describe('ranks', () => {
  /** Few different scores, so that there are ties. */
  const row = fc.array(fc.integer({ min: -2, max: 2 }), { minLength: 1, maxLength: 30 });
  const sorted = (scores: number[]): number[] =>
    scores
      .map((_, index) => index)
      .toSorted((a, b) => scores[a]! - scores[b]! || a - b)
      .toReversed();

  it('are positions in the sorted row', () => {
    fc.assert(
      fc.property(row, fc.array(fc.nat(), { minLength: 1, maxLength: 4 }), (scores, numbers) => {
        const relevant = numbers.map((number) => number % scores.length);
        expect(bestRank(scores, relevant)).toBe(Math.min(...relevant.map((index) => sorted(scores).indexOf(index))));
      }),
    );
  });

  it('the best candidates are the first of the sorted row', () => {
    fc.assert(
      fc.property(row, fc.nat(40), (scores, k) => {
        expect(bestCandidates(scores, k)).toEqual(sorted(scores).slice(0, k));
      }),
    );
  });

  it('recall grows with K', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(30), { minLength: 1 }), fc.nat(30), (ranks, k) => {
        expect(recallAt(ranks, k + 1)).toBeGreaterThanOrEqual(recallAt(ranks, k));
        expect(recallAt(ranks, 31)).toBe(100);
      }),
    );
  });

  it('a row shorter than topK is taken whole', () => {
    expect(rerankCandidates([[1, 3, 2]], 128)).toEqual({ candidates: [[1, 2, 0]], topK: 3 });
  });
});

it('says what does not fit', () => {
  const three = [[1, 2, 3]];
  const wrong = [
    () => evaluateRetrieval({ imageToText: three, textToImage: [[1], [1]], captionsPerImage: [3] }),
    () => evaluateRetrieval({ imageToText: three, textToImage: [[1], [1], [1]], captionsPerImage: [2] }),
    () => evaluateRetrieval({ imageToText: [[1], [1]], textToImage: [[1, 2]], captionsPerImage: [1, 0] }),
    () => bestRank([1, Number.NaN], [0]),
    () => bestRank([1, 2], [2]),
    () => recallAt([], 1),
    () => rerankCandidates(three, 0),
    () => rerankedScores(three, [[2, 1]], [[1]]),
  ];
  expect(wrong.map(messageOf).join('\n')).toMatchInlineSnapshot(`
    "evaluateRetrieval: textToImage has 2 rows, expected [captions, images] = [3, 1] from captionsPerImage. Score every image with every caption.
    evaluateRetrieval: imageToText has 3 scores in row 0, expected [images, captions] = [1, 2] from captionsPerImage. Score every image with every caption.
    bestRank: no candidate is relevant, expected at least one. Leave out images without captions.
    bestRank: score 1 of 2 is not a number. Check the features it was made of.
    bestRank: candidate 2 is relevant, but the row has 2 scores. Score every candidate, in the order of the ids.
    recallAt: got no ranks, expected one a query. Score at least one query.
    rerankCandidates: topK is 0, expected a whole number of at least 1. BLIP-2 uses 128.
    rerankedScores: row 0 has 1 matching scores for 2 candidates, expected one each. Score the candidates in their order."
  `);
});
