import {
  ConfigError,
  InputError,
  type RunOptions,
  TensorScope,
  tidy,
  type TokenBatch,
  tokenBatch,
  type Tokenizer,
  withTensorScope,
} from '@blip2/core';
import type { RgbImage } from '@blip2/image';
import { contrastiveSimilarity } from '@blip2/qformer';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import type { Blip2 } from './blip2.ts';
import { asList, encodeImages, type ImageSources, readImages } from './image-input.ts';

/** How well one text fits one image. */
export interface Match {
  /** Probability of "match" by the image-text matching head. */
  readonly itm: number;
  /** Cosine similarity of the text and the nearest query, by the contrastive projections; no temperature. */
  readonly itc: number;
}

/** Texts that go through the Q-Former with an image in one pass. */
const TEXTS_AT_ONCE = 16;

/**
 * Scores every image against every text.
 *
 * @returns `[images][texts]`, in the order given.
 * @throws {ConfigError} when the model has no matching heads.
 * @throws {InputError} when a text is empty or longer than the Q-Former's positions.
 *
 * @example
 * const [[score]] = await match(model, 'dog.jpg', 'a woman and her dog');
 * console.log(score.itm, score.itc);
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.2; Hugging Face `Blip2ForImageTextRetrieval`.
 */
export async function match(
  model: Blip2,
  images: ImageSources,
  texts: string | readonly string[],
  options: RunOptions = {},
): Promise<Match[][]> {
  const tokens = tokenizeTexts(model, texts, 'match');
  const pixels = await readImages(model, images, options);
  return withTensorScope(async (scope) => {
    const textFeatures = scope.own(await encodeTextFeatures(model, tokens, options)); // [texts, contrastiveWidth]
    const rows: Match[][] = [];
    for (const image of pixels) rows.push(await matchImage(model, image, tokens, textFeatures, options));
    return rows;
  });
}

async function matchImage(
  model: Blip2,
  image: RgbImage,
  tokens: readonly number[][],
  textFeatures: Tensor2D,
  options: RunOptions,
): Promise<Match[]> {
  return withTensorScope(async (scope) => {
    const features = scope.own(await encodeImages(model, [image], options)); // [1, tokens, width]
    const queries = scope.own(await encodeImageQueries(model, features, options)); // [1, queries, contrastiveWidth]
    const similarities = scope.own(contrastiveSimilarity(queries, textFeatures)); // [1, texts]
    const cosines = await similarities.data();
    const logits = await matchingLogits(model, features, tokens, options);
    return logits.map(([no, yes], index) => ({ itm: 1 / (1 + Math.exp(no - yes)), itc: cosines[index]! }));
  });
}

/**
 * Matching logits `[no match, match]` of one image with each text.
 * @param features - `[1, tokens, width]`, kept by the caller.
 */
export async function matchingLogits(
  model: Blip2,
  features: Tensor3D,
  tokens: readonly number[][],
  options: RunOptions,
): Promise<[number, number][]> {
  const tokenizer = requireTextTokenizer(model, 'match');
  const logits: [number, number][] = [];
  for (let begin = 0; begin < tokens.length; begin += TEXTS_AT_ONCE) {
    const chunk = tokenBatch(tokens.slice(begin, begin + TEXTS_AT_ONCE), { padTokenId: tokenizer.padTokenId });
    const values = await withTensorScope(async (scope) => {
      return scope.own(await model.qformer.match(features, chunk, options)).data(); // [texts, 2]
    });
    for (let pair = 0; pair < chunk.ids.length; pair++) logits.push([values[2 * pair]!, values[2 * pair + 1]!]);
  }
  return logits;
}

/** `[batch, tokens, width]` image features → L2-normalised `[batch, queries, contrastiveWidth]`. */
export async function encodeImageQueries(model: Blip2, features: Tensor3D, options: RunOptions): Promise<Tensor3D> {
  requireContrastiveHeads(model);
  return withTensorScope(async (scope: TensorScope) => {
    const queries = scope.own(await model.qformer.encodeQueries(features, options)); // [batch, queries, width]
    return model.qformer.projectImage(queries, options); // [batch, queries, contrastiveWidth]
  });
}

/** Texts → L2-normalised `[texts, contrastiveWidth]`: the projection of each text's first (`[CLS]`) position. */
export async function encodeTextFeatures(model: Blip2, tokens: readonly number[][], options: RunOptions): Promise<Tensor2D> {
  requireContrastiveHeads(model);
  const batch: TokenBatch = tokenBatch(tokens, { padTokenId: requireTextTokenizer(model, 'embed').padTokenId });
  return withTensorScope(async (scope) => {
    const encoded = scope.own(await model.qformer.encodeText(batch, options)); // [texts, tokens, width]
    const projected = scope.own(await model.qformer.projectText(encoded, options)); // [texts, tokens, contrastiveWidth]
    return tidy(() => tf.reshape(tf.slice(projected, [0, 0, 0], [-1, 1, -1]), [batch.ids.length, -1]) as Tensor2D); // [texts, contrastiveWidth]
  });
}

/** Token ids of each text, checked. */
export function tokenizeTexts(model: Blip2, texts: string | readonly string[], where: string): number[][] {
  const tokenizer = requireTextTokenizer(model, where);
  const list = asList(texts);
  if (list.length === 0) throw new InputError(`${where}: no text was given. Pass at least one.`);
  return list.map((text, index) => {
    if (text.trim() === '') throw new InputError(`${where}: text ${index} is empty. Describe what the image may show.`);
    return tokenizer.encode(text);
  });
}

function requireTextTokenizer(model: Blip2, where: string): Tokenizer {
  if (model.textTokenizer !== undefined && model.qformer.config.readsText) return model.textTokenizer;
  throw new ConfigError(
    `${where}: the Q-Former of ${model.name} does not read text: captioning checkpoints leave that branch out. ` +
      `Load a matching checkpoint, such as Salesforce/blip2-itm-vit-g.`,
  );
}

function requireContrastiveHeads(model: Blip2): void {
  if (model.qformer.config.contrastiveWidth !== undefined) return;
  throw new ConfigError(
    `${model.name} has no contrastive projections, so it gives no embeddings. Load a matching checkpoint, such as Salesforce/blip2-itm-vit-g.`,
  );
}
