import { splitWords, strip } from '../words.ts';
import { ARTICLES, CONTRACTIONS, NUMBER_WORDS, PUNCTUATION } from '../../data/vqa-words.ts';

/**
 * Whose rules apply. `'challenge'`: the official tool, with which published VQAv2 numbers are made. `'lavis'`: the copy in LAVIS, with
 * which BLIP-2's own runs were scored. They differ in what they do to the human answers, and in what a digit is.
 */
export type VqaNormalization = 'challenge' | 'lavis';

/** The official tool runs on Python 2, where a digit is an ASCII digit; LAVIS on Python 3, where it is any decimal digit. */
const PATTERNS: Readonly<Record<VqaNormalization, { readonly comma: RegExp; readonly period: RegExp }>> = {
  challenge: { comma: /[0-9],[0-9]/, period: /\.(?![0-9])/g },
  lavis: { comma: /\p{Nd},\p{Nd}/u, period: /\.(?!\p{Nd})/gu },
};

/** The official tool passes a flag where the replacement function wants a limit, and the flag's number is 32. */
const MOST_PERIODS = 32;

/**
 * Marks deleted or made spaces. The tests look at the text as it came, whatever earlier marks did to it.
 *
 * Source: GT-Vision-Lab/VQA `vqaEval.py`, `processPunctuation`.
 */
export function normalizeVqaPunctuation(text: string, normalization: VqaNormalization = 'challenge'): string {
  const { comma, period } = PATTERNS[normalization];
  const isNumber = comma.test(text);
  let output = text;
  for (const mark of PUNCTUATION.filter((one) => text.includes(one)))
    output = output.replaceAll(mark, isNumber || text.includes(`${mark} `) || text.includes(` ${mark}`) ? '' : ' ');
  let removed = 0;
  return output.replaceAll(period, (dot) => ((removed += 1) > MOST_PERIODS ? dot : ''));
}

/**
 * Lower case, number words as digits, no articles, apostrophes in short forms.
 *
 * Source: GT-Vision-Lab/VQA `vqaEval.py`, `processDigitArticle`.
 */
export function normalizeVqaWords(text: string): string {
  return splitWords(text.toLowerCase())
    .map((word) => NUMBER_WORDS.get(word) ?? word)
    .filter((word) => !ARTICLES.has(word))
    .map((word) => CONTRACTIONS.get(word) ?? word)
    .join(' ');
}

/**
 * An answer as the VQA scorers compare it: both steps. Line ends, tabs and outer white space are {@link cleanVqaAnswer}'s.
 *
 * @example
 * normalizeVqaAnswer('The two dogs.'); // '2 dogs'
 */
export function normalizeVqaAnswer(text: string, normalization: VqaNormalization = 'challenge'): string {
  return normalizeVqaWords(normalizeVqaPunctuation(text, normalization));
}

/** Line feeds and tabs as spaces, nothing at the ends: what the scorers do first. */
export function cleanVqaAnswer(text: string): string {
  return strip(text.replaceAll(/[\n\t]/g, ' '));
}
