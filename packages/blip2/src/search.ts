import { InputError, type RunOptions, withTensorScope } from '@blip2/core';
import { contrastiveSimilarity } from '@blip2/qformer';
import type { Blip2 } from './blip2.ts';
import { FeatureCache } from './feature-cache.ts';
import type { ImageSource } from './image-input.ts';
import { encodeImageQueries, encodeTextFeatures, matchingLogits, tokenizeTexts } from './match.ts';

/** One image of a ranking. */
export interface SearchHit {
  /** Position of the image in the list that was searched. */
  readonly index: number;
  /** 1 for the best. */
  readonly rank: number;
  /** Matching logit + cosine similarity for re-ranked images; the cosine similarity − 100 for the rest. */
  readonly score: number;
  /** Cosine similarity of the text and the image's nearest query. */
  readonly itc: number;
  /** Logit of "match", for re-ranked images. */
  readonly itmLogit?: number;
}

export interface SearchOptions extends RunOptions {
  /** How many of the nearest images the matching head re-ranks. @default 128, as in LAVIS */
  readonly rerank?: number;
  /**
   * Image features kept between the two passes, in bytes; those that do not fit are computed again for
   * re-ranking. @default 1 GiB
   */
  readonly featureCacheBytes?: number;
  /** Called after each image of the first pass. */
  readonly onImage?: (index: number, total: number) => void;
}

/**
 * Ranks images by how well they fit a text: contrastive similarity first, then image-text matching of the best.
 *
 * @returns every image once, best first.
 * @throws {ConfigError} when the model cannot match. @throws {InputError} for an empty list or text.
 *
 * @example
 * const [best] = await search(model, files, 'a dog on the beach');
 * console.log(files[best.index], best.score);
 *
 * Source: LAVIS `compute_sim_matrix` with k_test = 128; the final score is the matching logit plus the cosine.
 */
export async function search(
  model: Blip2,
  images: readonly ImageSource[],
  text: string,
  options: SearchOptions = {},
): Promise<SearchHit[]> {
  const { rerank = 128, featureCacheBytes = 1024 ** 3 } = options;
  if (images.length === 0) throw new InputError('search: there are no images to search. Pass at least one.');
  if (!Number.isInteger(rerank) || rerank < 0)
    throw new InputError(`search: rerank is ${rerank}, expected a whole number of images, 0 or more.`);
  const tokens = tokenizeTexts(model, text, 'search');
  const cache = new FeatureCache(model, (index: number) => images[index]!, featureCacheBytes);
  const cosines = await nearest(model, images.length, tokens, cache, options);
  const byCosine = cosines.map((itc, index) => ({ index, itc })).toSorted((a, b) => b.itc - a.itc || a.index - b.index);
  const scored: Omit<SearchHit, 'rank'>[] = [];
  for (const [place, hit] of byCosine.entries()) {
    if (place >= rerank) {
      scored.push({ ...hit, score: hit.itc - 100 });
      continue;
    }
    const itmLogit = await cache.use(
      hit.index,
      options,
      async (features) => (await matchingLogits(model, features, tokens, options))[0]![1],
    );
    scored.push({ ...hit, itmLogit, score: itmLogit + hit.itc });
  }
  return scored.toSorted((a, b) => b.score - a.score || a.index - b.index).map((hit, index) => ({ rank: index + 1, ...hit }));
}

/** The first pass: cosine similarity of the text with each image. */
async function nearest(
  model: Blip2,
  count: number,
  tokens: readonly number[][],
  cache: FeatureCache<number>,
  options: SearchOptions,
): Promise<number[]> {
  return withTensorScope(async (scope) => {
    const textFeatures = scope.own(await encodeTextFeatures(model, tokens, options)); // [1, contrastiveWidth]
    const cosines: number[] = [];
    for (let index = 0; index < count; index++) {
      const [cosine] = await cache.use(index, options, (features) =>
        withTensorScope(async (inner) => {
          const queries = inner.own(await encodeImageQueries(model, features, options)); // [1, queries, contrastiveWidth]
          return inner.own(contrastiveSimilarity(queries, textFeatures)).data(); // [1, 1]
        }),
      );
      cosines.push(cosine!);
      options.onImage?.(index, count);
    }
    return cosines;
  });
}
