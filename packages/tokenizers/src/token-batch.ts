import { InputError, tokenBatch } from '@blip2/core';
import type { TokenBatch, Tokenizer } from '@blip2/core';

/** How {@link encodeBatch} makes rows. */
export interface EncodeBatchOptions {
  /** Where padding goes. Decoder-only models want it on the left. @default 'right' */
  readonly side?: 'left' | 'right';
  /** Pads every row to this many tokens; to the longest row otherwise. */
  readonly length?: number;
  /** Cuts texts so that a row has at most this many tokens, the begin and end tokens included. */
  readonly maxLength?: number;
  /** Put the begin and end tokens around the texts. @default true */
  readonly addSpecialTokens?: boolean;
}

/**
 * Encodes texts into a rectangular batch of ids and its mask.
 *
 * A text that is too long loses its last tokens; its begin and end tokens stay.
 *
 * @returns ids and mask, `[texts.length][tokens]`: plain numbers.
 * @throws {InputError} when a row is longer than `length`, or `maxLength` leaves no room for the begin and end tokens.
 *
 * @example
 * encodeBatch(tokenizer, ['a cat', 'a very long caption'], { maxLength: 32, side: 'left' });
 */
export function encodeBatch(tokenizer: Tokenizer, texts: readonly string[], options: EncodeBatchOptions = {}): TokenBatch {
  const { side, length, maxLength = Number.POSITIVE_INFINITY, addSpecialTokens = true } = options;
  const isSet = (id: number | undefined): id is number => addSpecialTokens && id !== undefined;
  const begin = [tokenizer.beginTokenId].filter(isSet);
  const end = [tokenizer.endTokenId].filter(isSet);
  const room = maxLength - begin.length - end.length;
  if (!(room >= 0)) {
    const special = begin.length + end.length;
    throw new InputError(
      `encodeBatch: maxLength is ${maxLength}, expected at least ${special}, for the tokens around each text. Raise it.`,
    );
  }
  const rows = texts.map((text) => {
    const ids = tokenizer.encode(text, { addSpecialTokens: false });
    return [...begin, ...ids.slice(0, Math.min(room, ids.length)), ...end];
  });
  return tokenBatch(rows, { padTokenId: tokenizer.padTokenId, side, length });
}
