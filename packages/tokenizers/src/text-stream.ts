import type { Tokenizer } from '@blip2/core';

/** Turns tokens into text as they come. */
export interface TextStream {
  /** Takes the next token. @returns the text that is complete now; empty while a character is not. */
  push(id: number): string;
  /** @returns what was held back; the stream begins anew. */
  flush(): string;
}

/**
 * A stream of text out of a stream of tokens. What `push` and `flush` return, joined, is `tokenizer.decode` of all ids.
 *
 * A character of several tokens comes out whole: byte-level tokens may end in the middle of one, and what `decode` then
 * shows as U+FFFD at the end is held back.
 *
 * @param tokenizer - One whose `decode` of more ids begins with the `decode` of fewer, save for such an end; those of
 * this package are. Where another changes earlier text, the change is not seen.
 *
 * @example
 * const text = createTextStream(tokenizer);
 * for await (const id of streamTokens(session)) process.stdout.write(text.push(id));
 * process.stdout.write(text.flush());
 */
export function createTextStream(tokenizer: Tokenizer, options?: { readonly skipSpecialTokens?: boolean }): TextStream {
  let ids: number[] = [];
  let given = 0; // characters of the decoded text that were handed out
  const take = (text: string, end: number): string => {
    const fresh = text.slice(given, end);
    given = Math.max(given, end);
    return fresh;
  };
  return {
    push(id) {
      ids.push(id);
      const text = tokenizer.decode(ids, options);
      return take(text, text.endsWith('\uFFFD') ? text.length - 1 : text.length);
    },
    flush() {
      const text = tokenizer.decode(ids, options);
      const rest = take(text, text.length);
      ids = [];
      given = 0;
      return rest;
    },
  };
}
