import { InputError } from './errors.ts';

/** A rectangular batch of token ids and the mask of its real tokens (1) and padding (0). Plain numbers, no tensors. */
export interface TokenBatch {
  readonly ids: readonly (readonly number[])[];
  readonly mask: readonly (readonly number[])[];
}

/** Turns text into token ids and back. */
export interface Tokenizer {
  /** Number of ids in use, added tokens included. Models often have more rows. */
  readonly vocabSize: number;
  readonly padTokenId: number;
  /** Token put in front of a text, if the tokenizer has one (`[CLS]`, `</s>` for OPT). */
  readonly beginTokenId?: number;
  /** Token put at the end of a text, if the tokenizer has one (`[SEP]`, `</s>` for T5). */
  readonly endTokenId?: number;
  /** @param options.addSpecialTokens - Put the begin and end tokens around the text. @default true */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): number[];
  /** @param options.skipSpecialTokens - Leave out padding, begin and end tokens. @default true */
  decode(ids: readonly number[], options?: { readonly skipSpecialTokens?: boolean }): string;
  /** The id of a token's exact text, such as `[DEC]` or `<image>`. */
  tokenId(token: string): number | undefined;
}

/** How {@link tokenBatch} makes rows equally long. */
export interface PaddingOptions {
  readonly padTokenId: number;
  /** @default 'right' */
  readonly side?: 'left' | 'right';
  /** Pads every row to this length; the longest row otherwise. */
  readonly length?: number;
}

/** Pads rows of ids to one length. */
export function tokenBatch(
  rows: readonly (readonly number[])[],
  { padTokenId, side = 'right', length }: PaddingOptions,
): TokenBatch {
  const width = length ?? Math.max(0, ...rows.map((row) => row.length));
  const pad = (row: readonly number[], value: number, real: readonly number[]): number[] => {
    const padding = Array.from({ length: width - row.length }, () => value);
    return side === 'left' ? [...padding, ...real] : [...real, ...padding];
  };
  const longest = rows.findIndex((row) => row.length > width);
  if (longest >= 0) {
    throw new InputError(
      `tokenBatch: row ${longest} has ${rows[longest]!.length} tokens, more than the length ${width}. Truncate it first.`,
    );
  }
  return {
    ids: rows.map((row) => pad(row, padTokenId, row)),
    mask: rows.map((row) =>
      pad(
        row,
        0,
        row.map(() => 1),
      ),
    ),
  };
}
