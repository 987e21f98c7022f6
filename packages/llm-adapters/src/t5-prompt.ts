import { type PromptBatch, type TextBatch, type TokenBatch, tokenBatch, type Tokenizer } from '@blip2/core';
import { IGNORED_LABEL } from './cross-entropy.ts';
import { isTokenBatch } from './prompt.ts';
import type { T5Config } from './t5-config.ts';

/**
 * Prompts as ids for the encoder, padded on the right: `[queries][text </s>][pads]`. An empty text is `</s>` alone.
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.3; LAVIS `blip2_t5.py`, `generate`.
 */
export function t5PromptTokens(prompts: PromptBatch, tokenizer: Tokenizer, config: T5Config): TokenBatch {
  if (isTokenBatch(prompts)) return prompts;
  const rows = prompts.map((text) => encodeWithEnd(text, tokenizer, config));
  return tokenBatch(rows, { padTokenId: config.padTokenId });
}

function encodeWithEnd(text: string, tokenizer: Tokenizer, config: T5Config): number[] {
  const ids = tokenizer.encode(text);
  return ids.length === 0 ? [config.endTokenIds[0]!] : ids;
}

/** Encoder ids and decoder targets. */
export interface T5TrainingTokens extends TokenBatch {
  /** Targets with their end token, −100 where there is no loss. `[batch][target tokens]` */
  readonly labels: readonly (readonly number[])[];
  /** Of the decoder's tokens, 1 = real. Without one all count, which gives the same loss where padding comes last. */
  readonly decoderMask?: readonly (readonly number[])[];
}

/**
 * Prompts for the encoder and targets for the decoder, each cut to `maxTextTokens` with the end token kept.
 *
 * Source: LAVIS `blip2_t5.py`, `forward`.
 */
export function t5TrainingTokens(
  { prompts, targets }: TextBatch,
  tokenizer: Tokenizer,
  config: T5Config,
  maxTextTokens: number,
): T5TrainingTokens {
  const cut = (text: string): number[] => {
    const ids = encodeWithEnd(text, tokenizer, config);
    return ids.length <= maxTextTokens ? ids : [...ids.slice(0, maxTextTokens - 1), config.endTokenIds[0]!];
  };
  const encoder = tokenBatch(prompts.map(cut), { padTokenId: config.padTokenId });
  const labels = tokenBatch(targets.map(cut), { padTokenId: IGNORED_LABEL });
  return { ...encoder, labels: labels.ids, decoderMask: labels.mask };
}

/** What the decoder reads to predict the labels: the start token, then the labels but the last; padding for −100. */
export function t5DecoderInputs(labels: readonly (readonly number[])[], config: T5Config): number[][] {
  return labels.map((row) => [
    config.decoderStartTokenId,
    ...row.slice(0, -1).map((label) => (label === IGNORED_LABEL ? config.padTokenId : label)),
  ]);
}
