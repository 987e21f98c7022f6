import { InputError, type TokenBatch } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { TextTensors } from './passes.ts';
import type { QFormerConfig } from './qformer-config.ts';

/**
 * A batch of token ids as tensors, checked at the boundary.
 *
 * @param where - For messages: `match: text`.
 * @returns int32 `[batch, tokens]` ids and mask, the caller's.
 * @throws {InputError} for an empty or ragged batch, a text longer than the positions, ids outside the vocabulary, a
 *   mask that does not mark real tokens first.
 */
export function textTensors(batch: TokenBatch, config: QFormerConfig, where: string): TextTensors {
  assertText(batch, config, where);
  return uncheckedTextTensors(batch);
}

/** A batch of token ids that was checked, as tensors, the caller's. */
export function uncheckedTextTensors(batch: TokenBatch): TextTensors {
  const { ids, mask } = textNumbers(batch);
  return {
    ids: tf.tensor2d(ids.data, ids.shape, 'int32'), // [batch, tokens]
    mask: tf.tensor2d(mask.data, mask.shape, 'int32'), // [batch, tokens]
  };
}

interface TextNumbers {
  readonly shape: [number, number];
  readonly data: Int32Array;
}

/** A batch of token ids that was checked, as numbers for tensors of any kind: `[batch, tokens]`. */
export function textNumbers({ ids, mask }: TokenBatch): { readonly ids: TextNumbers; readonly mask: TextNumbers } {
  const shape: [number, number] = [ids.length, ids[0]!.length];
  return { ids: { shape, data: Int32Array.from(ids.flat()) }, mask: { shape, data: Int32Array.from(mask.flat()) } };
}

/** Checks a batch of token ids; see {@link textTensors}. */
export function assertText({ ids, mask }: TokenBatch, { maxPositions, vocabSize }: QFormerConfig, where: string): void {
  const tokens = ids[0]?.length ?? 0;
  if (tokens === 0)
    throw new InputError(`${where} is empty, expected a text of at least one token in each row. Tokenize with special tokens.`);
  if (tokens > maxPositions) {
    throw new InputError(
      `${where} is ${tokens} tokens long, expected at most ${maxPositions}, the Q-Former's positions. Shorten or truncate it.`,
    );
  }
  if (mask.length !== ids.length) {
    throw new InputError(
      `${where} has ${ids.length} rows of ids and ${mask.length} of mask, expected as many of both. Pass them as the tokenizer gives them.`,
    );
  }
  for (const [row, rowIds] of ids.entries()) {
    const rowMask = mask[row]!;
    if (rowIds.length !== tokens || rowMask.length !== tokens) {
      throw new InputError(
        `${where}, row ${row}: ${rowIds.length} ids and ${rowMask.length} mask values, expected ${tokens} of both as in row 0. Pad the rows to one length.`,
      );
    }
    const stranger = rowIds.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (stranger !== undefined) {
      throw new InputError(
        `${where}, row ${row}: token id ${stranger}, expected whole numbers from 0 to ${vocabSize - 1}. ` +
          `Use the Q-Former's own tokenizer (BERT's), and leave image tokens out.`,
      );
    }
    if (rowMask[0] !== 1 || rowMask.some((value, index) => value !== 0 && (value !== 1 || rowMask[index - 1] === 0))) {
      throw new InputError(
        `${where}, row ${row}: the mask is [${rowMask.slice(0, 8).join(', ')}${tokens > 8 ? ', …' : ''}], expected ones for real tokens, then zeros. Pad on the right.`,
      );
    }
  }
}

/**
 * The same texts without leading image placeholders. Newer processors for matching models put one for each query in
 * front of the text, with an id that the Q-Former's table of words does not have; the queries take their place.
 *
 * @param imageTokenId - `image_token_index` of the configuration.
 *
 * @example
 * const text = withoutImageTokens(batch, 30523);
 *
 * Source: transformers, `Blip2ForImageTextRetrieval.forward`.
 */
export function withoutImageTokens(batch: TokenBatch, imageTokenId: number): TokenBatch {
  const counts = batch.ids.map((row) => {
    const end = row.findIndex((id) => id !== imageTokenId);
    return end < 0 ? row.length : end;
  });
  const count = counts[0] ?? 0;
  const different = counts.findIndex((other) => other !== count);
  if (different >= 0) {
    throw new InputError(
      `withoutImageTokens: row ${different} begins with ${counts[different]} image tokens, row 0 with ${count}, expected the same number. ` +
        `Put them in front of right-padded texts.`,
    );
  }
  return { ids: batch.ids.map((row) => row.slice(count)), mask: batch.mask.map((row) => row.slice(count)) };
}
