import { InputError } from '@blip2/core/errors';
import { mean } from '../ids.ts';
import { bestRank } from './ranks.ts';
import type { ScoreRow } from './ranks.ts';

/** Recall at 1, 5 and 10, and the mean of the three; percent, unrounded. */
export interface Recalls {
  readonly r1: number;
  readonly r5: number;
  readonly r10: number;
  readonly mean: number;
}

/** Recall in both directions. */
export interface RetrievalScores {
  /** An image looks for its captions: LAVIS's `txt_r1` and so on; its mean is LAVIS's `agg_metrics`. */
  readonly text: Recalls;
  /** A caption looks for its image: LAVIS's `img_r1` and so on. */
  readonly image: Recalls;
  /** Mean of both means: `r_mean`. */
  readonly mean: number;
  /** For every image the rank, from 0, of the best of its captions. */
  readonly textRanks: readonly number[];
  /** For every caption the rank, from 0, of its image. */
  readonly imageRanks: readonly number[];
}

/**
 * Recall at 1, 5 and 10 of Flickr30K and COCO retrieval.
 *
 * @param scores.imageToText - `[images, captions]`, rows of any array of numbers.
 * @param scores.textToImage - `[captions, images]`; not the transposed matrix where candidates were ranked again.
 * @param scores.captionsPerImage - Captions are numbered image by image.
 * @throws {InputError} when matrices and captions do not fit, an image has no caption, or a score is not a number.
 *
 * Source: LAVIS `retrieval.py`, `_report_metrics`; for ties see {@link bestRank}.
 */
export function evaluateRetrieval({
  imageToText,
  textToImage,
  captionsPerImage,
}: {
  readonly imageToText: readonly ScoreRow[];
  readonly textToImage: readonly ScoreRow[];
  readonly captionsPerImage: readonly number[];
}): RetrievalScores {
  const images = captionsPerImage.length;
  const imageOfCaption = captionsPerImage.flatMap((count, image) => Array<number>(count).fill(image)); // [captions]
  const captions = imageOfCaption.length;
  assertMatrix('imageToText', imageToText, images, captions, '[images, captions]');
  assertMatrix('textToImage', textToImage, captions, images, '[captions, images]');

  const captionsOf: number[][] = captionsPerImage.map(() => []);
  for (const [caption, image] of imageOfCaption.entries()) captionsOf[image]!.push(caption);
  const textRanks = imageToText.map((row, image) => bestRank(row, captionsOf[image]!));
  const imageRanks = textToImage.map((row, caption) => bestRank(row, [imageOfCaption[caption]!]));
  const [text, image] = [recalls(textRanks), recalls(imageRanks)];
  return { text, image, mean: (text.mean + image.mean) / 2, textRanks, imageRanks };
}

/**
 * Share of ranks, in percent, among the first `k`.
 *
 * @throws {InputError} when there are no ranks.
 */
export function recallAt(ranks: readonly number[], k: number): number {
  if (ranks.length === 0) throw new InputError('recallAt: got no ranks, expected one a query. Score at least one query.');
  return (100 * ranks.filter((rank) => rank < k).length) / ranks.length;
}

function recalls(ranks: readonly number[]): Recalls {
  const [r1, r5, r10] = [recallAt(ranks, 1), recallAt(ranks, 5), recallAt(ranks, 10)];
  return { r1, r5, r10, mean: mean('evaluateRetrieval', [r1, r5, r10]) };
}

function assertMatrix(name: string, matrix: readonly ScoreRow[], rows: number, columns: number, axes: string): void {
  const wrong = matrix.findIndex((row) => row.length !== columns);
  if (matrix.length === rows && wrong < 0) return;
  throw new InputError(
    `evaluateRetrieval: ${name} ${matrix.length === rows ? `has ${matrix[wrong]!.length} scores in row ${wrong}` : `has ${matrix.length} rows`}, ` +
      `expected ${axes} = [${rows}, ${columns}] from captionsPerImage. Score every image with every caption.`,
  );
}
