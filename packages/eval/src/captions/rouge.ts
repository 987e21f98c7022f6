import { InputError } from '@blip2/core/errors';
import { mean } from '../ids.ts';
import type { CaptionScores, TokenizedCaptions } from './tokenizer.ts';

const BETA = 1.2; // weight of recall, pycocoevalcap `rouge.py`

/**
 * ROUGE-L of each image, from 0 to 1, and the mean over images: the F-measure of the largest precision and the largest recall that a
 * longest common subsequence has with any reference; the two may be of different references.
 *
 * @param captions - Tokenised; a reference at least for every image. Words are what is between single spaces.
 * @throws {InputError} when there is no image, or an image has no reference.
 *
 * Source: Lin 2004; pycocoevalcap `rouge.py`.
 */
export function rougeL(captions: readonly TokenizedCaptions[]): CaptionScores {
  const perImage = captions.map(({ candidate, references }, index) => {
    if (references.length === 0)
      throw new InputError(
        `rougeL: image ${index} has no references, expected at least one. Leave the image out, or add its captions.`,
      );
    const words = candidate.split(' ');
    let [precision, recall] = [0, 0];
    for (const reference of references) {
      const others = reference.split(' ');
      const common = longestCommonSubsequence(words, others);
      precision = Math.max(precision, common / words.length);
      recall = Math.max(recall, common / others.length);
    }
    return precision === 0 || recall === 0 ? 0 : ((1 + BETA ** 2) * precision * recall) / (recall + BETA ** 2 * precision);
  });
  return { corpus: mean('rougeL', perImage), perImage };
}

/** Its length, with one row of the table at a time. */
function longestCommonSubsequence(one: readonly string[], other: readonly string[]): number {
  const row = Array.from({ length: other.length + 1 }, () => 0);
  for (const word of one) {
    let diagonal = 0;
    for (let column = 1; column <= other.length; column += 1) {
      const above = row[column]!;
      row[column] = word === other[column - 1] ? diagonal + 1 : Math.max(above, row[column - 1]!);
      diagonal = above;
    }
  }
  return row[other.length]!;
}
