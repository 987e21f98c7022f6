import { type HostTensor, IGNORED_LABEL, type TextBatch, tokenBatch, type TokenBatch, type Tokenizer } from '@blip2/core';
import { type OptConfig, optTrainingTokens, type T5Config, t5DecoderInputs, t5TrainingTokens } from '@blip2/llm-adapters';
import { encodeBatch } from '@blip2/tokenizers';

/**
 * Texts as tensors of a fixed size, padded on the right: a compiled step takes one size. Everything is plain numbers in JavaScript's
 * memory.
 */

/** Ids and mask of texts that the Q-Former reads, `[batch, tokens]` each. */
export interface HostText {
  readonly ids: HostTensor;
  readonly mask: HostTensor;
}

/**
 * Texts for the Q-Former: `[CLS]`, the text, `[SEP]`.
 *
 * @param tokens - How long rows are; longer texts lose their last tokens but `[SEP]`.
 */
export function qformerTexts(tokenizer: Tokenizer, texts: readonly string[], tokens: number): HostText {
  const { ids, mask } = encodeBatch(tokenizer, texts, { maxLength: tokens, length: tokens });
  return { ids: integers(ids), mask: integers(mask) };
}

/** What {@link optTexts} gives: `OptTexts` in JavaScript's memory. */
export interface HostOptTexts {
  readonly ids: HostTensor; //                   [batch, tokens]
  readonly labels: HostTensor; //                [batch, tokens]
}

/**
 * Prompt and target as one text that ends with the end token. Prompts carry no loss.
 *
 * @param tokens - How long rows are; longer texts are cut and then do not end.
 * @throws {InputError} when a prompt leaves no room for its target.
 */
export function optTexts(tokenizer: Tokenizer, config: OptConfig, texts: TextBatch, tokens: number): HostOptTexts {
  const { ids, labels } = optTrainingTokens(texts, tokenizer, config, tokens);
  return { ids: integers(padded(ids, tokens, config.padTokenId)), labels: integers(padded(labels, tokens, IGNORED_LABEL)) };
}

/** What {@link t5Texts} gives: `T5Texts` in JavaScript's memory. */
export interface HostT5Texts {
  readonly promptIds: HostTensor; //             [batch, promptTokens]
  readonly promptMask: HostTensor; //            [batch, promptTokens]
  readonly decoderIds: HostTensor; //            [batch, targetTokens]
  readonly labels: HostTensor; //                [batch, targetTokens]
}

/** How long the rows of {@link t5Texts} are. */
export interface T5TextLengths {
  readonly promptTokens: number;
  readonly targetTokens: number;
}

/** Prompts for the encoder, targets for the decoder. Longer ones are cut and keep their end token. */
export function t5Texts(
  tokenizer: Tokenizer,
  config: T5Config,
  { prompts, targets }: TextBatch,
  { promptTokens, targetTokens }: T5TextLengths,
): HostT5Texts {
  // Prompts and targets have lengths of their own, so each is cut in a pass of its own.
  const { ids, mask } = t5TrainingTokens({ prompts, targets: prompts }, tokenizer, config, promptTokens);
  const { labels: short } = t5TrainingTokens({ prompts: targets, targets }, tokenizer, config, targetTokens);
  const labels = padded(short, targetTokens, IGNORED_LABEL);
  return {
    promptIds: integers(padded(ids, promptTokens, config.padTokenId)),
    promptMask: integers(padded(mask, promptTokens, 0)),
    decoderIds: integers(t5DecoderInputs(labels, config)),
    labels: integers(labels),
  };
}

function padded(rows: TokenBatch['ids'], length: number, value: number): TokenBatch['ids'] {
  return tokenBatch(rows, { padTokenId: value, length }).ids;
}

function integers(rows: TokenBatch['ids']): HostTensor {
  return { shape: [rows.length, rows[0]!.length], data: Int32Array.from(rows.flat()) };
}
