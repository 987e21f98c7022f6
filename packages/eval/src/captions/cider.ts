import { InputError } from '@blip2/core/errors';
import { mean } from '../ids.ts';
import { splitWords } from '../words.ts';
import { LONGEST, nGrams } from './n-grams.ts';
import type { CaptionScores, TokenizedCaptions } from './tokenizer.ts';

const SIGMA = 6; // of the penalty for lengths, Vedantam et al. 2015

/** In how many images of a corpus each n-gram occurs, n from 1 to 4; words joined by spaces. */
export interface DocumentFrequencies {
  readonly images: number;
  readonly counts: ReadonlyMap<string, number>;
}

/** What distinguishes the variants of CIDEr. */
export interface CiderOptions {
  /**
   * `'cider-d'` clips counts and penalises lengths; the COCO tools call it CIDEr. `'cider'` is the original without both.
   * @default 'cider-d'
   */
  readonly variant?: 'cider-d' | 'cider';
  /** Frequencies of another corpus, as in self-critical training. @default those of the references given */
  readonly frequencies?: DocumentFrequencies;
}

/**
 * Counts the images that have an n-gram in at least one reference.
 *
 * @param corpus - Tokenised references, image by image.
 * @throws {InputError} when there is no image.
 *
 * Source: pycocoevalcap `cider_scorer.py`, `compute_doc_freq`.
 */
export function documentFrequencies(corpus: readonly (readonly string[])[]): DocumentFrequencies {
  if (corpus.length === 0)
    throw new InputError('documentFrequencies: the corpus has no images, expected at least one. Pass the references.');
  const counts = new Map<string, number>();
  for (const references of corpus) {
    const present = new Set(
      references.flatMap((reference) => nGrams(splitWords(reference)).flatMap((grams) => [...grams.keys()])),
    );
    for (const gram of present) counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return { images: corpus.length, counts };
}

/**
 * CIDEr-D (or plain CIDEr) of each image, 0 to 10, and the mean over images.
 *
 * @param captions - Tokenised; a reference at least for every image.
 * @throws {InputError} when there is no image, or an image has no reference.
 *
 * With the frequencies of a single image all weights, and so the score, are 0.
 * Source: Vedantam et al., CIDEr (arXiv 1411.5726); pycocoevalcap `cider_scorer.py`, whose "CIDEr" is CIDEr-D.
 */
export function cider(
  captions: readonly TokenizedCaptions[],
  { variant = 'cider-d', frequencies }: CiderOptions = {},
): CaptionScores {
  const { images, counts } = frequencies ?? documentFrequencies(captions.map(({ references }) => references));
  const logImages = Math.log(images);
  const weight = (gram: string): number => logImages - Math.log(Math.max(1, counts.get(gram) ?? 0));
  const perImage = captions.map(({ candidate, references }, index) => {
    if (references.length === 0)
      throw new InputError(
        `cider: image ${index} has no references, expected at least one. Leave the image out, or add its captions.`,
      );
    const vector = weighted(candidate, weight);
    const similarities = references.map((reference) => similarity(vector, weighted(reference, weight), variant === 'cider-d'));
    return (10 * similarities.reduce((sum, one) => sum + one, 0)) / LONGEST / references.length;
  });
  return { corpus: mean('cider', perImage), perImage };
}

/** Weighted n-grams of a sentence, by n; their norms; and its length as the reference counts it: the number of bigrams. */
interface Vector {
  readonly weights: readonly Map<string, number>[]; // [n]
  readonly norms: readonly number[]; // [n]
  readonly length: number;
}

function weighted(sentence: string, weight: (gram: string) => number): Vector {
  const words = splitWords(sentence);
  const weights = nGrams(words).map((grams) => new Map([...grams].map(([gram, count]) => [gram, count * weight(gram)])));
  const norms = weights.map((one) => Math.sqrt([...one.values()].reduce((sum, value) => sum + value * value, 0)));
  return { weights, norms, length: Math.max(0, words.length - 1) };
}

/** Sum over n of the cosines, in the clipped form of CIDEr-D when asked. */
function similarity(candidate: Vector, reference: Vector, clipped: boolean): number {
  const penalty = clipped ? Math.exp(-((candidate.length - reference.length) ** 2) / (2 * SIGMA ** 2)) : 1;
  let sum = 0;
  for (let n = 0; n < LONGEST; n += 1) {
    let product = 0;
    for (const [gram, value] of candidate.weights[n]!) {
      const other = reference.weights[n]!.get(gram) ?? 0;
      product += (clipped ? Math.min(value, other) : value) * other;
    }
    const norms = candidate.norms[n]! * reference.norms[n]!;
    sum += (norms === 0 ? product : product / norms) * penalty;
  }
  return sum;
}
