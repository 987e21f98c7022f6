import type { Answerer, Captioner, Matcher, RunOptions } from '@blip2/core';
import { withTensorScope } from '@blip2/core';
import { contrastiveSimilarity } from '@blip2/qformer';
import { processCaption } from '@blip2/tokenizers';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor3D } from '@tensorflow/tfjs-core';
import { answer } from './answer.ts';
import type { Blip2 } from './blip2.ts';
import { caption } from './caption.ts';
import { FeatureCache } from './feature-cache.ts';
import type { ImageSource } from './image-input.ts';
import { encodeImageQueries, encodeTextFeatures, matchingLogits, tokenizeTexts } from './match.ts';

/** Gives what a caller calls an image as something that the model reads. */
export type ReadImage<Image> = (image: Image) => ImageSource | Promise<ImageSource>;

/**
 * A model as something that describes images, for benchmarks and other programs that take any captioner.
 *
 * @param read - Needed where images are something else than paths, bytes and pixels.
 *
 * @example
 * const captions = await predictCaptions(items, asCaptioner(model), CAPTION_SETTINGS['zero-shot']); // of @blip2/eval
 */
export function asCaptioner<Image = ImageSource>(model: Blip2, read: ReadImage<Image> = asItIs): Captioner<Image> {
  return {
    async caption(images, options) {
      const captions = await caption(model, await Promise.all(images.map(read)), options);
      return captions.map(({ text }) => text);
    },
  };
}

/**
 * A model as something that answers questions. Images are told apart by identity: one that comes several times in a call is read
 * and encoded once.
 */
export function asAnswerer<Image = ImageSource>(model: Blip2, read: ReadImage<Image> = asItIs): Answerer<Image> {
  return {
    async answer(images, questions, options) {
      const sources = new Map([...new Set(images)].map((image) => [image, Promise.resolve(read(image))] as const));
      const answers = await answer(model, await Promise.all(images.map((image) => sources.get(image)!)), questions, options);
      return answers.map(({ text }) => text);
    },
  };
}

/** How a model matches for others. */
export interface MatcherOptions<Image> {
  /** Needed where images are something else than paths, bytes and pixels. */
  readonly read?: ReadImage<Image>;
  /** Image features kept between the two looks, in bytes. @default 1 GiB */
  readonly featureCacheBytes?: number;
}

/** Longest text of the retrieval benchmarks. Source: LAVIS, `max_txt_len` of its retrieval configurations. */
const TEXT_TOKENS = 35;
/** Texts that are encoded in one pass. */
const TEXTS_AT_ONCE = 64;

/**
 * A model as something that matches images and texts in two looks, as retrieval benchmarks do. Texts are processed as in training
 * (`processCaption`), and end after 35 tokens.
 *
 * @throws {ConfigError} when called, for models without the matching heads.
 *
 * Source: LAVIS `blip2_qformer.py`, `compute_sim_matrix`.
 */
export function asMatcher<Image = ImageSource>(model: Blip2, options: MatcherOptions<Image> = {}): Matcher<Image> {
  const { read = asItIs, featureCacheBytes = 1024 ** 3 } = options;
  const cache = new FeatureCache<Image>(model, read, featureCacheBytes);
  let known: { readonly texts: readonly string[]; readonly features: Float32Array } | undefined;
  return {
    async similarities(images, texts, run = {}) {
      if (known?.texts !== texts) known = { texts, features: await textFeatures(model, texts, run) };
      const { features } = known;
      const rows: Float32Array[] = [];
      for (const image of images)
        rows.push(await cache.use(image, run, (encoded) => similarityRow(model, encoded, features, texts.length, run)));
      return rows;
    },
    async match(image, texts, run = {}) {
      const tokens = matchedTokens(model, texts);
      const logits = await cache.use(image, run, (features) => matchingLogits(model, features, tokens, run));
      return Float32Array.from(logits, ([, yes]) => yes);
    },
  };
}

/** `[texts · width]`, L2-normalised, row by row. */
async function textFeatures(model: Blip2, texts: readonly string[], options: RunOptions): Promise<Float32Array> {
  const tokens = matchedTokens(model, texts);
  const parts: Float32Array[] = [];
  for (let begin = 0; begin < tokens.length; begin += TEXTS_AT_ONCE) {
    options.abortSignal?.throwIfAborted();
    const part = await withTensorScope(async (scope) => {
      const features = scope.own(await encodeTextFeatures(model, tokens.slice(begin, begin + TEXTS_AT_ONCE), options)); // [some, width]
      return (await features.data()) as Float32Array;
    });
    parts.push(part);
  }
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Similarities of one image's features `[1, tokens, width]` with all texts. */
async function similarityRow(
  model: Blip2,
  features: Tensor3D,
  texts: Float32Array,
  count: number,
  options: RunOptions,
): Promise<Float32Array> {
  return withTensorScope(async (scope) => {
    const queries = scope.own(await encodeImageQueries(model, features, options)); // [1, queries, width]
    const all = scope.own(tf.tensor2d(texts, [count, texts.length / count])); // [texts, width]
    return (await scope.own(contrastiveSimilarity(queries, all)).data()) as Float32Array; // [1, texts]
  });
}

/** Tokens of each text; those of a text that is too long end with its end token. */
function matchedTokens(model: Blip2, texts: readonly string[]): number[][] {
  const rows = tokenizeTexts(
    model,
    texts.map((text) => processCaption(text)),
    'match',
  );
  return rows.map((ids) => (ids.length <= TEXT_TOKENS ? ids : [...ids.slice(0, TEXT_TOKENS - 1), ids.at(-1)!]));
}

function asItIs<Image>(image: Image): ImageSource {
  return image as ImageSource;
}
