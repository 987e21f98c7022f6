import type { RunOptions } from '@blip2/core';
import { tokenizeTexts, encodeImageQueries, encodeTextFeatures } from './match.ts';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { withTensorScope } from '@blip2/core';
import type { Blip2 } from './blip2.ts';
import { encodeImages, type ImageSources, readImages } from './image-input.ts';

/**
 * Contrastive embeddings of images: one vector a query.
 *
 * @returns `[images, queries, contrastiveWidth]`, L2-normalised; the caller's.
 * @throws {ConfigError} when the model has no contrastive projections.
 *
 * @example
 * const queries = await embedImages(model, ['dog.jpg', 'cat.jpg']); // [2, 32, 256]
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.2; LAVIS `extract_features`, `image_embeds_proj`.
 */
export async function embedImages(model: Blip2, images: ImageSources, options: RunOptions = {}): Promise<Tensor3D> {
  const pixels = await readImages(model, images, options);
  return withTensorScope(async (scope) => {
    const features = scope.own(await encodeImages(model, pixels, options)); // [images, tokens, width]
    return encodeImageQueries(model, features, options); // [images, queries, contrastiveWidth]
  });
}

/**
 * Contrastive embeddings of texts. The similarity of an image and a text is the largest dot product with one
 * of the image's queries.
 *
 * @returns `[texts, contrastiveWidth]`, L2-normalised; the caller's.
 * @throws {ConfigError} when the model does not read text. @throws {InputError} for an empty or too long text.
 *
 * @example
 * const texts = await embedTexts(model, ['a dog', 'a cat']); // [2, 256]
 */
export async function embedTexts(model: Blip2, texts: string | readonly string[], options: RunOptions = {}): Promise<Tensor2D> {
  return encodeTextFeatures(model, tokenizeTexts(model, texts, 'embed'), options);
}
