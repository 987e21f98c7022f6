import { ACCENTS, CHINESE, CONTROLS, PUNCTUATION, WHITE_SPACE } from './bert-characters.ts';

/** How a BERT text is normalised. */
export interface BertNormalization {
  /** Drop control characters, make all white space spaces. */
  readonly cleanText: boolean;
  /** Put spaces around Chinese characters. */
  readonly handleChineseChars: boolean;
  readonly stripAccents: boolean;
  readonly lowercase: boolean;
}

const ANY_WHITE_SPACE = new RegExp(WHITE_SPACE, 'gu');
const WORDS = new RegExp(`${PUNCTUATION}|(?:(?!${PUNCTUATION})[^${WHITE_SPACE}])+`, 'gu');

/**
 * Normalises a text for BERT: cleaning, spaces around Chinese characters, accents, case, in this order.
 *
 * Lower case is taken character by character, as the reference does: a final Σ becomes σ and not ς.
 * Source: Hugging Face tokenizers, `normalizers/bert.rs`.
 */
export function normalizeBert(text: string, options: BertNormalization): string {
  let result = text;
  if (options.cleanText) result = result.replace(CONTROLS, '').replace(ANY_WHITE_SPACE, ' ');
  if (options.handleChineseChars) result = result.replace(CHINESE, ' $& ');
  if (options.stripAccents) result = result.normalize('NFD').replace(ACCENTS, '');
  if (options.lowercase) result = lowercase(result);
  return result;
}

function lowercase(text: string): string {
  if (!text.includes('Σ')) return text.toLowerCase();
  return text
    .split('Σ')
    .map((part) => part.toLowerCase())
    .join('σ');
}

/** Splits at white space, and makes each punctuation mark a word of its own. */
export function splitBertWords(text: string): string[] {
  return text.match(WORDS) ?? [];
}
