import { InputError } from '@blip2/core/errors';
import { mean } from '../ids.ts';
import { type CountedCaptions, countCaptions, type GramCounts, GramTable, LONGEST } from './n-grams.ts';
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
  if (corpus.length === 0) throw noCorpus();
  const table = new GramTable();
  const counted = corpus.map((references) => references.map((reference) => table.count(reference)));
  const images = imagesOfGrams(counted, table);
  const texts = table.texts();
  return { images: corpus.length, counts: new Map(texts.slice(1).map((text, index) => [text, images[index + 1]!])) };
}

/** In how many images each n-gram is in a reference, by its number. */
function imagesOfGrams(corpus: readonly (readonly GramCounts[])[], { size, grams }: GramTable): Int32Array {
  const images = new Int32Array(size);
  const lastImage = new Int32Array(size); // that counted it, from 1 on
  for (const [image, references] of corpus.entries()) {
    for (const { starts } of references) {
      for (let at = starts[0]!; at < starts[LONGEST]!; at += 1) {
        const gram = grams[at]!;
        if (lastImage[gram] === image + 1) continue;
        lastImage[gram] = image + 1;
        images[gram]! += 1;
      }
    }
  }
  return images;
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
export function cider(captions: readonly TokenizedCaptions[], options: CiderOptions = {}): CaptionScores {
  const { table, counted } = countCaptions(captions);
  return ciderOfCounts(counted, table, options);
}

/** CIDEr of captions whose n-grams are counted. @throws as {@link cider}. */
export function ciderOfCounts(
  captions: readonly CountedCaptions[],
  table: GramTable,
  { variant = 'cider-d', frequencies }: CiderOptions = {},
): CaptionScores {
  const corpus: Corpus = {
    grams: table.grams,
    counts: table.counts,
    weights: weightsOf(captions, table, frequencies),
    other: new Float64Array(table.size),
  };
  const perImage = captions.map(({ candidate, references }, index) => {
    if (references.length === 0)
      throw new InputError(
        `cider: image ${index} has no references, expected at least one. Leave the image out, or add its captions.`,
      );
    const norms = normsOf(candidate, corpus);
    let sum = 0;
    for (const reference of references) sum += similarity(candidate, norms, reference, corpus, variant === 'cider-d');
    return (10 * sum) / LONGEST / references.length;
  });
  return { corpus: mean('cider', perImage), perImage };
}

/** What sentences are compared by. */
interface Corpus {
  readonly grams: Int32Array;
  readonly counts: Int32Array;
  /** Of an n-gram that occurs once, by its number. */
  readonly weights: Float64Array;
  /** By number, weights in the present reference; 0 everywhere between comparisons. */
  readonly other: Float64Array;
}

/** How much an n-gram counts, by its number: the rarer, the more. */
function weightsOf(
  captions: readonly CountedCaptions[],
  table: GramTable,
  frequencies: DocumentFrequencies | undefined,
): Float64Array {
  if (frequencies !== undefined) {
    const logImages = Math.log(frequencies.images);
    return Float64Array.from(table.texts(), (text) => logImages - Math.log(Math.max(1, frequencies.counts.get(text) ?? 0)));
  }
  if (captions.length === 0) throw noCorpus();
  const logImages = Math.log(captions.length);
  const images = imagesOfGrams(
    captions.map(({ references }) => references),
    table,
  );
  const weights = new Float64Array(table.size);
  for (let gram = 1; gram < weights.length; gram += 1) weights[gram] = logImages - Math.log(Math.max(1, images[gram]!));
  return weights;
}

function noCorpus(): InputError {
  return new InputError('documentFrequencies: the corpus has no images, expected at least one. Pass the references.');
}

/** Norms of a sentence's weights, for n from 1 to 4. */
function normsOf({ starts }: GramCounts, { grams, counts, weights }: Corpus): number[] {
  return Array.from({ length: LONGEST }, (_, n) => {
    let squares = 0;
    for (let at = starts[n]!; at < starts[n + 1]!; at += 1) squares += (counts[at]! * weights[grams[at]!]!) ** 2;
    return Math.sqrt(squares);
  });
}

/** Sum over n of the cosines of two sentences, in the clipped form of CIDEr-D when asked. */
function similarity(
  candidate: GramCounts,
  norms: readonly number[],
  reference: GramCounts,
  corpus: Corpus,
  clipped: boolean,
): number {
  const { grams, counts, weights, other } = corpus;
  const [first, last] = [reference.starts[0]!, reference.starts[LONGEST]!];
  for (let at = first; at < last; at += 1) other[grams[at]!] = counts[at]! * weights[grams[at]!]!;
  const otherNorms = normsOf(reference, corpus);
  const penalty = clipped ? Math.exp(-((bigrams(candidate) - bigrams(reference)) ** 2) / (2 * SIGMA ** 2)) : 1;
  let sum = 0;
  for (let n = 0; n < LONGEST; n += 1) {
    let product = 0;
    for (let at = candidate.starts[n]!; at < candidate.starts[n + 1]!; at += 1) {
      const gram = grams[at]!;
      const theirs = other[gram]!;
      if (theirs === 0) continue;
      const mine = counts[at]! * weights[gram]!;
      product += (clipped ? Math.min(mine, theirs) : mine) * theirs;
    }
    const both = norms[n]! * otherNorms[n]!;
    sum += (both === 0 ? product : product / both) * penalty;
  }
  for (let at = first; at < last; at += 1) other[grams[at]!] = 0;
  return sum;
}

/** The length of a sentence, as the reference counts it. */
function bigrams({ length }: GramCounts): number {
  return Math.max(0, length - 1);
}
