/** A token that is recognised in a text before the vocabulary is asked, such as `[SEP]` or `<image>`. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Left out of decoded text. */
  readonly special: boolean;
  /** Looked for in the normalised text instead of the text as given. */
  readonly normalized: boolean;
  /** Recognised only where no letter, digit or underscore touches it. */
  readonly singleWord: boolean;
  /** Swallows white space on its left. */
  readonly stripLeft: boolean;
  /** Swallows white space on its right. */
  readonly stripRight: boolean;
}

/** A stretch of text between added tokens, or the id of one. */
export type Section = string | number;

const ENDS_IN_WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D]$/u;
const STARTS_WITH_WORD = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D]/u;

/**
 * Cuts texts at added tokens; the longest of those that begin at one place counts.
 *
 * Source: Hugging Face tokenizers, `tokenizer/added_vocabulary.rs`.
 */
export class AddedTokenSplitter {
  readonly #tokens: ReadonlyMap<string, AddedToken>;
  readonly #pattern: RegExp | undefined;

  /** @param normalize - Applied to the contents, for tokens that are looked for in normalised text. */
  constructor(tokens: readonly AddedToken[], normalize: (content: string) => string = (content) => content) {
    const named = tokens.map((token) => [normalize(token.content), token] as const).filter(([content]) => content !== '');
    this.#tokens = new Map(named.toReversed());
    const longestFirst = [...this.#tokens.keys()].toSorted((left, right) => right.length - left.length);
    this.#pattern = longestFirst.length === 0 ? undefined : new RegExp(longestFirst.map(escapePattern).join('|'), 'gu');
  }

  split(text: string): Section[] {
    if (this.#pattern === undefined) return text === '' ? [] : [text];
    const sections: Section[] = [];
    let done = 0;
    for (const match of text.matchAll(this.#pattern)) {
      const token = this.#tokens.get(match[0])!;
      let begin = match.index;
      let end = begin + match[0].length;
      if (begin < done) continue; // swallowed by the token before
      if (
        token.singleWord &&
        (ENDS_IN_WORD.test(text.slice(Math.max(0, begin - 2), begin)) || STARTS_WITH_WORD.test(text.slice(end, end + 2)))
      )
        continue;
      while (token.stripLeft && begin > done && isWhiteSpace(text[begin - 1]!)) begin--;
      while (token.stripRight && end < text.length && isWhiteSpace(text[end]!)) end++;
      if (done < begin) sections.push(text.slice(done, begin));
      sections.push(token.id);
      done = end;
    }
    if (done < text.length) sections.push(text.slice(done));
    return sections;
  }
}

function escapePattern(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

function isWhiteSpace(character: string): boolean {
  return /\p{White_Space}/u.test(character);
}
