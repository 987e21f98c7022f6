import { type Matcher, withTensorScope } from '@blip2/core';
import { asMatcher, type Blip2, embedImages, embedTexts } from 'blip2';
import type { DatasetRecord } from '@blip2/datasets';
import { evaluateRetrieval, predictRetrieval, RETRIEVAL_SETTINGS, type RetrievalScores } from '@blip2/eval';
import { querySimilarity } from '@blip2/qformer';
import { processCaption } from '@blip2/tokenizers';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { readRecord } from './held-out.ts';

/** Recalls by the similarities of the contrastive heads alone, and after the matching head has ranked the best again. */
export interface RetrievalResult {
  readonly contrast: RetrievalScores;
  readonly matching: RetrievalScores;
}

export interface RetrievalOptions {
  /** How many of the best are ranked again: 128 in the paper. @default 16 */
  readonly topK?: number;
  /** Which queries speak for an image. @default 'max' */
  readonly pooling?: 'max' | 'mean';
}

export async function retrievalScores(
  model: Blip2,
  rows: readonly DatasetRecord[],
  { topK = 16, pooling = 'max' }: RetrievalOptions = {},
): Promise<RetrievalResult> {
  const items = rows.map((image, id) => ({ id, image, captions: image.captions! }));
  const matcher = pooling === 'max' ? asMatcher(model, { read: readRecord }) : meanMatcher(model);
  const ranked = async (rerank: number): Promise<RetrievalScores> => {
    const settings = { ...RETRIEVAL_SETTINGS['zero-shot'], rerank };
    return evaluateRetrieval(await predictRetrieval(items, matcher, settings, { batchSize: 32 }));
  };
  return { contrast: await ranked(0), matching: await ranked(topK) };
}

/** A matcher for which all queries of an image speak alike. It asks about one list of texts, whose features it keeps. */
function meanMatcher(model: Blip2): Matcher<DatasetRecord> {
  let features: Promise<Tensor2D> | undefined; // [texts, width]
  return {
    ...asMatcher(model, { read: readRecord }),
    similarities: async (rows, texts) => {
      features ??= embedTexts(
        model,
        texts.map((text) => processCaption(text)),
      );
      const known = await features;
      return withTensorScope(async (scope) => {
        const images = scope.own(await embedImages(model, await Promise.all(rows.map(readRecord)))); // [images, queries, width]
        const means = scope.own(tf.tidy(() => tf.mean(querySimilarity(images, known), 2))); // [images, texts]
        const numbers = (await means.data()) as Float32Array;
        return rows.map((_, row) => numbers.slice(row * texts.length, (row + 1) * texts.length));
      });
    },
  };
}
