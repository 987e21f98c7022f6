import { assertShape, embed, InputError, type PromptBatch, type TokenBatch, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';

/** What stands at each position of a language model's input. All rows are equally long. */
export interface InputPositions {
  /** Queries of the visual prompt in every row; 0 without one. */
  readonly queries: number;
  /** Ids to look up; anything valid where a query stands. `[batch][positions]` */
  readonly ids: readonly (readonly number[])[];
  /** Number of the query that stands at a position, −1 for text. `[batch][positions]` */
  readonly queryAt: readonly (readonly number[])[];
}

/** A prompt: what stands where, and what of it is padding. */
export interface PromptLayout extends InputPositions {
  /**
   * What the repetition and n-gram rules see: an image placeholder for each query if the model has such a token, the
   * padding, the text. `[batch][tokens]`
   */
  readonly historyIds: readonly (readonly number[])[];
  /** 1 = real, 0 = padding. `[batch][positions]` */
  readonly mask: readonly (readonly number[])[];
}

/** Positions of text alone: what decoding adds. @param ids - `[batch][positions]` */
export function textPositions(ids: readonly (readonly number[])[]): InputPositions {
  return { queries: 0, ids, queryAt: ids.map((row) => row.map(() => -1)) };
}

/** What {@link layOutPrompts} needs to know of the model. */
export interface PromptLayoutOptions {
  /** Queries of the visual prompt; 0 without one. */
  readonly queries: number;
  /** Id that stands for a query in ids that a processor made, if the model has one. */
  readonly imageTokenId: number | undefined;
  readonly padTokenId: number;
}

/**
 * Places the queries of the visual prompt and the text in each row: the queries go where the ids have image
 * placeholders, or in front of everything where the ids have none — before the begin token and before any padding.
 *
 * @param batch - Padded on any side, with or without placeholders.
 * @throws {InputError} when a row has placeholders, but not one for each query.
 *
 * @example
 * layOutPrompts({ ids: [[1, 2, 9]], mask: [[0, 1, 1]] }, { queries: 2, imageTokenId: 7, padTokenId: 1 });
 * // historyIds [[7, 7, 1, 2, 9]], mask [[1, 1, 0, 1, 1]]
 */
export function layOutPrompts(batch: TokenBatch, { queries, imageTokenId, padTokenId }: PromptLayoutOptions): PromptLayout {
  const placed = batch.ids.some((row) => imageTokenId !== undefined && row.includes(imageTokenId));
  if (placed) {
    const queryAt = batch.ids.map((row, index) => numberPlaceholders(row, imageTokenId!, queries, index));
    return { queries, historyIds: batch.ids, ids: batch.ids, mask: batch.mask, queryAt };
  }
  const front = Array.from({ length: queries }, (_, query) => query);
  return {
    queries,
    historyIds: batch.ids.map((row) => [...(imageTokenId === undefined ? [] : front.map(() => imageTokenId)), ...row]),
    ids: batch.ids.map((row) => [...front.map(() => padTokenId), ...row]),
    mask: batch.mask.map((row) => [...front.map(() => 1), ...row]),
    queryAt: batch.ids.map((row) => [...front, ...row.map(() => -1)]),
  };
}

function numberPlaceholders(row: readonly number[], imageTokenId: number, queries: number, index: number): number[] {
  let count = 0;
  const queryAt = row.map((id) => (id === imageTokenId ? count++ : -1));
  if (count === queries) return queryAt;
  throw new InputError(
    `Prompt ids: row ${index} has ${count} image placeholders (id ${imageTokenId}), but the visual prompt has ${queries} queries. ` +
      `Put ${queries} of them in each row, or none at all: then the queries go in front.`,
  );
}

/**
 * Token embeddings with the visual prompt in its place.
 *
 * @param visualPrompt - `[batch, queries, width]`; `undefined` for text alone.
 * @param tokens - Embeddings of the ids, `[batch, positions, width]`.
 * @returns `[batch, positions, width]`
 */
export function placeVisualPrompt(
  { queries, queryAt }: Pick<InputPositions, 'queries' | 'queryAt'>,
  visualPrompt: Tensor3D | undefined,
  tokens: Tensor3D,
): Tensor3D {
  return tidy(() => {
    if (visualPrompt === undefined || queries === 0) return tf.clone(tokens);
    const [batch, positions, width] = tokens.shape;
    if (queryAt.every((row) => row.every((query, position) => query === (position < queries ? position : -1)))) {
      if (positions === queries) return tf.clone(visualPrompt);
      const text = tf.slice(tokens, [0, queries, 0], [batch, positions - queries, width]); // [batch, text tokens, width]
      return tf.concat([visualPrompt, text], 1); // [batch, positions, width]
    }
    const both = tf.reshape(tf.concat([visualPrompt, tokens], 1), [-1, width]) as Tensor2D; // [batch · (queries + positions), width]
    const sources = queryAt.map((row, image) =>
      row.map((query, position) => image * (queries + positions) + (query >= 0 ? query : queries + position)),
    );
    return embed(both, tf.tensor2d(sources, [batch, positions], 'int32')); // [batch, positions, width]
  });
}

/** The last position of each row. @param hidden - `[batch, tokens, width]` @returns `[batch, 1, width]` */
export function lastPosition(hidden: Tensor3D): Tensor3D {
  const [batch, tokens, width] = hidden.shape;
  return tf.slice(hidden, [0, tokens - 1, 0], [batch, 1, width]); // [batch, 1, width]
}

/**
 * Checks a visual prompt and its prompts at a public boundary.
 *
 * @throws {InputError} when there are no prompts, or not as many as visual prompts.
 * @throws {ShapeError} when the visual prompt is not `[batch, queries, embeddingWidth]`.
 */
export function assertPrompts(
  where: string,
  visualPrompt: Tensor3D | undefined,
  prompts: PromptBatch,
  embeddingWidth: number,
): void {
  const count = isTokenBatch(prompts) ? prompts.ids.length : prompts.length;
  if (count === 0) throw new InputError(`${where}: got no prompts. Pass one text an image; an empty string stands for none.`);
  if (isTokenBatch(prompts)) assertTokenBatch(where, prompts);
  if (visualPrompt === undefined) return;
  assertShape(
    visualPrompt,
    ['batch', 'queries', embeddingWidth],
    `${where}: visualPrompt`,
    `This language model takes embeddings of width ${embeddingWidth}: use the language projection that was trained for it.`,
  );
  if (visualPrompt.shape[0] !== count) {
    throw new InputError(
      `${where}: got ${visualPrompt.shape[0]} visual prompts and ${count} text prompts. Pass one text an image; an empty string stands for none.`,
    );
  }
}

/** Whether prompts come as ids. */
export function isTokenBatch(prompts: PromptBatch): prompts is TokenBatch {
  return !Array.isArray(prompts);
}

/** @throws {InputError} when rows are empty or differ in length, or ids and mask do. */
function assertTokenBatch(where: string, { ids, mask }: TokenBatch): void {
  const length = ids[0]!.length;
  const fits = length > 0 && mask.length === ids.length && [...ids, ...mask].every((row) => row.length === length);
  if (fits) return;
  throw new InputError(
    `${where}: the rows of ids and mask have the lengths ${ids.map((row) => row.length).join(', ')} and ${mask.map((row) => row.length).join(', ')}, expected one length above 0. ` +
      `Pad them with tokenBatch().`,
  );
}
