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
    const words = new NumberedWords(candidate.split(' '));
    let [precision, recall] = [0, 0];
    for (const reference of references) {
      const others = reference.split(' ');
      const common = words.commonWith(others);
      precision = Math.max(precision, common / words.length);
      recall = Math.max(recall, common / others.length);
    }
    return precision === 0 || recall === 0 ? 0 : ((1 + BETA ** 2) * precision * recall) / (recall + BETA ** 2 * precision);
  });
  return { corpus: mean('rougeL', perImage), perImage };
}

const BITS = 32;

/** The words of a candidate as numbers, for the longest common subsequences with its references. */
class NumberedWords {
  readonly length: number;
  readonly #numbers: Int32Array;
  readonly #numberOf = new Map<string, number>();
  /** For each number, where it stands among 32 words of a reference; all 0 between calls. */
  readonly #places: Uint32Array;
  /** For each word, what is carried from 32 words of a reference into the next. */
  readonly #carries: Uint8Array;

  constructor(words: readonly string[]) {
    this.length = words.length;
    this.#numbers = Int32Array.from(words, (word) => {
      const known = this.#numberOf.get(word);
      if (known !== undefined) return known;
      this.#numberOf.set(word, this.#numberOf.size);
      return this.#numberOf.size - 1;
    });
    this.#places = new Uint32Array(this.#numberOf.size);
    this.#carries = new Uint8Array(words.length);
  }

  /**
   * Length of the longest common subsequence. Where it grows in a row of the usual table are zeros in a row of bits, 32 words at a time, and the next row is
   * made with one addition: for two texts of 100,000 words the table itself would take a minute.
   *
   * Source: Hyyrö, "Bit-parallel LCS-length computation revisited" (2004).
   */
  commonWith(others: readonly string[]): number {
    let common = 0;
    this.#carries.fill(0);
    for (let from = 0; from < others.length; from += BITS) {
      const block = others.slice(from, from + BITS);
      common += this.#grown(block.map((word) => this.#numberOf.get(word)));
    }
    return common;
  }

  /** How much of it comes from 32 words of the reference. */
  #grown(block: readonly (number | undefined)[]): number {
    const [numbers, places, carries] = [this.#numbers, this.#places, this.#carries];
    for (const [bit, number] of block.entries()) if (number !== undefined) places[number]! |= 1 << bit;
    let row = 0xffffffff;
    for (let at = 0; at < numbers.length; at += 1) {
      const here = places[numbers[at]!]!;
      const sum = row + ((row & here) >>> 0) + carries[at]!;
      carries[at] = sum > 0xffffffff ? 1 : 0;
      row = (sum | (row & ~here)) >>> 0; // bits of the sum beyond 32 fall away
    }
    for (const number of block) if (number !== undefined) places[number] = 0;
    let zeros = 0;
    for (let bit = 0; bit < block.length; bit += 1) if ((row & (1 << bit)) === 0) zeros += 1;
    return zeros;
  }
}
