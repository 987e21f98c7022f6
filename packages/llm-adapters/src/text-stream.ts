import type { GeneratedToken, Tokenizer } from '@blip2/core';

/** What a decoder writes for bytes that are no character, or not yet. */
const REPLACEMENT = '\ufffd';

/**
 * Turns tokens into text as they come. A token whose last character is incomplete waits for the tokens that complete
 * it. White space waits for the word after it, so that the joined texts are what decoding all tokens at once and
 * stripping gives.
 */
export class TextStream {
  readonly #tokenizer: Tokenizer;
  readonly #ids: number[] = [];
  /** Tokens before this one are decoded for their effect on the next ones' spaces only. */
  #contextStart = 0;
  /** Tokens from here on have not given their text yet. */
  #pendingStart = 0;
  #whiteSpace = '';
  #started = false;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** Takes a token. @returns the tokens that are complete now, each with the text it adds. */
  push(tokenId: number): GeneratedToken[] {
    this.#ids.push(tokenId);
    const text = this.#pendingText();
    return text.endsWith(REPLACEMENT) ? [] : this.#deliver(text);
  }

  /** The tokens that still wait when no more come; what is incomplete then stays `\ufffd`. */
  end(): GeneratedToken[] {
    return this.#pendingStart < this.#ids.length ? this.#deliver(this.#pendingText()) : [];
  }

  #pendingText(): string {
    const known = this.#tokenizer.decode(this.#ids.slice(this.#contextStart, this.#pendingStart));
    return this.#tokenizer.decode(this.#ids.slice(this.#contextStart)).slice(known.length);
  }

  #deliver(text: string): GeneratedToken[] {
    const tokenIds = this.#ids.slice(this.#pendingStart);
    // Something written stays as context: a tokenizer drops the space in front of the first token it decodes.
    if (text !== '') this.#contextStart = this.#pendingStart;
    this.#pendingStart = this.#ids.length;
    const shown = this.#withoutOuterWhiteSpace(text);
    return tokenIds.map((tokenId, index) => ({ tokenId, text: index === tokenIds.length - 1 ? shown : '' }));
  }

  #withoutOuterWhiteSpace(text: string): string {
    const waiting = this.#whiteSpace + text;
    const complete = waiting.trimEnd();
    this.#whiteSpace = waiting.slice(complete.length);
    if (this.#started) return complete;
    this.#started = complete !== '';
    return complete.trimStart();
  }
}
