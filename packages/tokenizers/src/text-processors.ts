/** Words that a caption or question keeps. Source: LAVIS `blip_processors.py`. */
const MAX_WORDS = 50;

/** White space as Python's `\s` has it. */
const RUNS = new RegExp(String.raw`[\p{White_Space}\u001C-\u001F]{2,}`, 'gu');
const PUNCTUATION = /[.!"()*#:;~]/g;

/** How {@link processCaption} and {@link processQuestion} treat a text. */
export interface TextProcessorOptions {
  /** Longer texts lose their last words. @default 50 */
  readonly maxWords?: number;
  /** Captions only: put in front of the text. @default '' */
  readonly prompt?: string;
}

/**
 * Prepares a caption as the models were trained: lower case, a space for each of `. ! " ( ) * # : ; ~`, runs of white
 * space as one space, at most 50 words. `? , - / '` stay.
 *
 * @example
 * processCaption('Two DOGS, on a beach!'); // 'two dogs, on a beach'
 *
 * Source: LAVIS `BlipCaptionProcessor` (`blip_caption`).
 */
export function processCaption(text: string, { maxWords = MAX_WORDS, prompt = '' }: TextProcessorOptions = {}): string {
  const clean = text.toLowerCase().replace(PUNCTUATION, ' ').replace(RUNS, ' ');
  return prompt + keepWords(dropBegin(dropEnd(dropEnd(clean, '\n'), ' '), ' '), maxWords);
}

/**
 * Prepares a question as the models were trained: lower case, without `. ! " ( ) * # : ; ~`, without spaces at the end,
 * at most 50 words. `? , - / '` stay.
 *
 * @example
 * processQuestion('What is "this"?'); // 'what is this?'
 *
 * Source: LAVIS `BlipQuestionProcessor` (`blip_question`).
 */
export function processQuestion(text: string, { maxWords = MAX_WORDS }: Pick<TextProcessorOptions, 'maxWords'> = {}): string {
  return keepWords(dropEnd(text.toLowerCase().replace(PUNCTUATION, ''), ' '), maxWords);
}

function keepWords(text: string, maxWords: number): string {
  return text.split(' ').slice(0, maxWords).join(' ');
}

// Not regular expressions: / +$/ takes quadratic time on a text full of spaces.

function dropEnd(text: string, character: string): string {
  let end = text.length;
  while (end > 0 && text[end - 1] === character) end--;
  return text.slice(0, end);
}

function dropBegin(text: string, character: string): string {
  let begin = 0;
  while (text[begin] === character) begin++;
  return text.slice(begin);
}
