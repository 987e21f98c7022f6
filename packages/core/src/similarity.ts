import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { linear } from './layers/linear.ts';
import { tidy } from './tensor-scope.ts';

/**
 * Cosine similarity of every query of every image with every text.
 *
 * @param imageQueries - `[images, queries, contrastiveWidth]`, L2-normalised
 * @param texts - `[texts, contrastiveWidth]`, L2-normalised
 * @returns `[images, texts, queries]`
 * Source: LAVIS `sim_q2t`.
 */
export function querySimilarity(imageQueries: Tensor3D, texts: Tensor2D): Tensor3D {
  return tidy(() => {
    const products = linear({ weight: texts }, imageQueries); // [images, queries, texts]
    return tf.transpose(products, [0, 2, 1]); // [images, texts, queries]
  });
}

/**
 * Image-text contrast: the query that fits a text best speaks for its image. Cosines, without temperature.
 *
 * @param imageQueries - `[images, queries, contrastiveWidth]`, L2-normalised
 * @param texts - `[texts, contrastiveWidth]`, L2-normalised
 * @returns `[images, texts]`
 *
 * @example
 * const [similarity] = contrastiveSimilarity(imageQueries, texts).arraySync();
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.2, image-text contrastive learning.
 */
export function contrastiveSimilarity(imageQueries: Tensor3D, texts: Tensor2D): Tensor2D {
  return tidy(() => tf.max(querySimilarity(imageQueries, texts), 2) as Tensor2D); // [images, texts]
}
