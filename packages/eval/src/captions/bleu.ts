import { InputError } from '@blip2/core/errors';
import { type CountedCaptions, countCaptions, type GramTable, LONGEST } from './n-grams.ts';
import type { TokenizedCaptions } from './tokenizer.ts';

/** BLEU-1 to BLEU-4, from 0 to 1. */
export type BleuScores = readonly [bleu1: number, bleu2: number, bleu3: number, bleu4: number];

/** What BLEU is computed from, of one image or summed over images. */
export interface BleuTotals {
  readonly candidateLength: number;
  /** Length of the reference that is closest in length, the shorter of two. */
  readonly referenceLength: number;
  /** n-grams of the candidate that a reference has as well, by n. */
  readonly matches: readonly number[];
  /** n-grams of the candidate, by n. */
  readonly guesses: readonly number[];
}

/** BLEU of the whole and of each image, unrounded. */
export interface BleuResult {
  /** From the summed counts, not the mean over images. */
  readonly corpus: BleuScores;
  readonly perImage: readonly BleuScores[];
  readonly totals: BleuTotals;
}

const TINY = 1e-15; // keeps a product of no matches above 0
const SMALL = 1e-9; // keeps a division by no guesses finite

/**
 * BLEU-1 to BLEU-4. The reference's guards against division by zero are the only smoothing, so an identical sentence has slightly less than 1.
 *
 * @param captions - Tokenised; a reference at least for every image.
 * @throws {InputError} when there is no image, or an image has no reference.
 *
 * Source: Papineni et al. 2002; pycocoevalcap `bleu_scorer.py` with `option="closest"`.
 */
export function bleu(captions: readonly TokenizedCaptions[]): BleuResult {
  const { table, counted } = countCaptions(captions);
  return bleuOfCounts(counted, table);
}

/** BLEU of captions whose n-grams are counted. @throws as {@link bleu}. */
export function bleuOfCounts(captions: readonly CountedCaptions[], table: GramTable): BleuResult {
  if (captions.length === 0)
    throw new InputError('bleu: nothing to score, expected at least one image. Check the files or the subset.');
  const most = new Int32Array(table.size); // [grams], largest number in a reference of the present image
  const perImage = captions.map((one, index) => count(one, index, table, most));
  const totals = perImage.reduce((sum, one) => ({
    candidateLength: sum.candidateLength + one.candidateLength,
    referenceLength: sum.referenceLength + one.referenceLength,
    matches: sum.matches.map((value, n) => value + one.matches[n]!),
    guesses: sum.guesses.map((value, n) => value + one.guesses[n]!),
  }));
  return { corpus: score(totals), perImage: perImage.map(score), totals };
}

/** @param most - 0 everywhere, as it is again afterwards. */
function count(
  { candidate, references }: CountedCaptions,
  index: number,
  { grams, counts }: GramTable,
  most: Int32Array,
): BleuTotals {
  if (references.length === 0)
    throw new InputError(
      `bleu: image ${index} has no references, expected at least one. Leave the image out, or add its captions.`,
    );
  for (const { starts } of references)
    for (let at = starts[0]!; at < starts[LONGEST]!; at += 1) if (counts[at]! > most[grams[at]!]!) most[grams[at]!] = counts[at]!;
  const matches = Array.from({ length: LONGEST }, (_, n) => {
    let sum = 0;
    for (let at = candidate.starts[n]!; at < candidate.starts[n + 1]!; at += 1) sum += Math.min(counts[at]!, most[grams[at]!]!);
    return sum;
  });
  for (const { starts } of references) for (let at = starts[0]!; at < starts[LONGEST]!; at += 1) most[grams[at]!] = 0;
  const distance = (length: number): number => Math.abs(length - candidate.length);
  const [referenceLength] = references.map(({ length }) => length).toSorted((a, b) => distance(a) - distance(b) || a - b);
  return {
    candidateLength: candidate.length,
    referenceLength: referenceLength!,
    matches,
    guesses: matches.map((_, n) => Math.max(0, candidate.length - n)),
  };
}

function score({ candidateLength, referenceLength, matches, guesses }: BleuTotals): BleuScores {
  const ratio = (candidateLength + TINY) / (referenceLength + SMALL);
  const brevity = ratio < 1 ? Math.exp(1 - 1 / ratio) : 1;
  let product = 1;
  return matches.map((matched, n) => {
    product *= (matched + TINY) / (guesses[n]! + SMALL);
    return product ** (1 / (n + 1)) * brevity;
  }) as unknown as BleuScores;
}
