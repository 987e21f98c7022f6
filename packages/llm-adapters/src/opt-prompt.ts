import { InputError, type PromptBatch, type TextBatch, type TokenBatch, tokenBatch, type Tokenizer } from '@blip2/core';
import { IGNORED_LABEL } from './cross-entropy.ts';
import type { OptConfig } from './opt-config.ts';
import { isTokenBatch } from './prompt.ts';

/**
 * Prompts as ids, padded on the left: OPT goes on from the last column, so padding may not be there. With a visual
 * prompt in front the padding stands in the middle: `[queries][pads][</s> text]`.
 *
 * @param prompts - Texts; or ids, whose padding is moved where needed. An empty text is the begin token alone.
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.3; LAVIS `blip2_opt.py`, `predict_answers` (`padding_side = "left"`).
 */
export function optPromptTokens(prompts: PromptBatch, tokenizer: Tokenizer, config: OptConfig): TokenBatch {
  const rows = isTokenBatch(prompts) ? realTokens(prompts) : prompts.map((text) => encodeWithBegin(text, tokenizer, config));
  if (isTokenBatch(prompts) && prompts.mask.every((row) => row.at(-1) === 1)) return prompts;
  return tokenBatch(rows, { padTokenId: config.padTokenId, side: 'left' });
}

function realTokens({ ids, mask }: TokenBatch): number[][] {
  return ids.map((row, index) => {
    const real = row.filter((_, position) => mask[index]![position] === 1);
    if (real.length > 0) return real;
    throw new InputError(`Prompt ids: row ${index} is all padding. Give it at least the begin token.`);
  });
}

function encodeWithBegin(text: string, tokenizer: Tokenizer, config: OptConfig): number[] {
  const ids = tokenizer.encode(text);
  return ids.length === 0 ? [config.beginTokenId] : ids;
}

/** A batch of ids with the label of each: what a causal language model trains on. */
export interface LabelledTokens extends TokenBatch {
  /** The id itself, or −100 where there is no loss; row by row as long as the ids. */
  readonly labels: readonly (readonly number[])[];
}

/**
 * Prompt and target as one text that ends with the end token (the newline in BLIP-2), padded on the right. The prompt
 * carries no loss, its begin token included; without a prompt the begin token is the first thing to be predicted.
 *
 * A space goes between prompt and target where neither has one. The prompt's tokens are counted on their own, so
 * that prompts should not end within a word.
 *
 * @throws {InputError} when `maxTextTokens` leaves nothing of a target.
 *
 * Source: LAVIS `blip2_opt.py`, `forward`.
 */
export function optTrainingTokens(
  { prompts, targets }: TextBatch,
  tokenizer: Tokenizer,
  config: OptConfig,
  maxTextTokens: number,
): LabelledTokens {
  const rows = targets.map((target, index) => {
    const prompt = prompts[index] ?? '';
    const space = prompt === '' || /\s$/u.test(prompt) || /^\s/u.test(target) ? '' : ' ';
    const ids = [...encodeWithBegin(prompt + space + target, tokenizer, config), config.endTokenIds[0]!].slice(0, maxTextTokens);
    const promptLength = prompt === '' ? 0 : encodeWithBegin(prompt.trimEnd(), tokenizer, config).length;
    if (promptLength >= ids.length) {
      throw new InputError(
        `loss: prompt ${index} takes ${promptLength} of ${maxTextTokens} tokens and leaves none to its target '${target}'. ` +
          `Shorten it, or raise maxTextTokens.`,
      );
    }
    return { ids, labels: ids.map((id, position) => (position < promptLength ? IGNORED_LABEL : id)) };
  });
  const batch = tokenBatch(
    rows.map(({ ids }) => ids),
    { padTokenId: config.padTokenId },
  );
  const labels = tokenBatch(
    rows.map((row) => row.labels),
    { padTokenId: IGNORED_LABEL },
  );
  return { ...batch, labels: labels.ids };
}
