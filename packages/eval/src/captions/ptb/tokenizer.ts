import { DROPPED_TOKENS } from '../../../data/ptb-words.ts';
import { stripEnd } from '../../words.ts';
import type { CaptionTokenizer } from '../tokenizer.ts';
import { PtbLexer } from './lexer.ts';
import { LINE_BREAK } from './outputs.ts';

/** Units that the lexer takes for line ends; inside a caption they would shift all captions after it, as they do in the official tools. */
// oxlint-disable-next-line no-control-regex -- these are the units in question
const LINE_ENDS = /[\n\r\u000b\u000c\u2028\u2029]/g;

const dropped = new Set(DROPPED_TOKENS.trim().split(/\s+/));

let lexer: PtbLexer | undefined;

/**
 * Tokenises captions as the COCO tools do with Stanford's PTBTokenizer 3.4.1: Penn Treebank tokens in lower case, joined by spaces, without
 * punctuation. A caption may come out empty. Captions are one stream: a few rules look at how the next caption begins.
 *
 * @example
 * tokenizePtb(["A man's dog (brown) can't swim."]); // ["a man 's dog -lrb- brown -rrb- ca n't swim"]
 *
 * Source: pycocoevalcap `ptbtokenizer.py` and Stanford CoreNLP 3.4.1 `PTBLexer`.
 */
export const tokenizePtb: CaptionTokenizer = (captions: readonly string[]): string[] =>
  tokenLines(captions).map((tokens) =>
    withoutEnd(tokens)
      .filter((token) => !dropped.has(token))
      .join(' '),
  );

/** One line of tokens a caption, punctuation included. */
export function ptbLines(captions: readonly string[]): string[] {
  return tokenLines(captions).map((tokens) => tokens.join(' '));
}

/** The tokens of each caption, in lower case. */
function tokenLines(captions: readonly string[]): string[][] {
  if (captions.length === 0) return [];
  lexer ??= new PtbLexer();
  let line: string[] = [];
  const lines = [line];
  for (const token of lexer.tokens(captions.map((caption) => caption.replaceAll(LINE_ENDS, ' ')).join('\n'))) {
    if (token === LINE_BREAK) lines.push((line = []));
    else if (!token.includes('\n')) line.push(token.toLowerCase());
    else {
      // A tag whose value goes on in the next caption has its line ends in the token.
      const [first, ...others] = token.toLowerCase().split('\n');
      line.push(first!);
      for (const other of others) lines.push((line = [other]));
    }
  }
  return lines;
}

/** The tokens without white space at the end of the line; tokens have none but U+00A0, which is part of a token elsewhere. */
function withoutEnd(tokens: readonly string[]): readonly string[] {
  const last = tokens.at(-1) ?? '';
  return stripEnd(last) === last && last !== '' ? tokens : stripEnd(tokens.join(' ')).split(' ');
}
