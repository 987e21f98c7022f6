import { withTensorScope } from '@blip2/core';
import { type Blip2, embedImages, embedTexts } from 'blip2';
import type { DatasetRecord } from '@blip2/datasets';
import { evaluateRetrieval, rerankCandidates, rerankedScores, type RetrievalScores } from '@blip2/eval';
import { preprocess } from '@blip2/image';
import { contrastiveSimilarity, querySimilarity } from '@blip2/qformer';
import { encodeBatch, processCaption } from '@blip2/tokenizers';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { inBatches } from './in-batches.ts';

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
  const captions = rows.map((row) => row.captions!.map((text) => processCaption(text)));
  const texts = captions.flat();
  const textFeatures = await featuresOf(model, texts); // [texts, width]
  const imageToText = await inBatches(rows, async (some) => {
    const images = await embedImages(model, await Promise.all(some.map((row) => row.readImage()))); // [images, queries, width]
    const similarities = tf.tidy(() =>
      pooling === 'max' ? contrastiveSimilarity(images, textFeatures) : tf.mean(querySimilarity(images, textFeatures), 2),
    ); // [images, texts]
    const numbers = (await similarities.data()) as Float32Array;
    tf.dispose([images, similarities]);
    return some.map((_, row) => numbers.slice(row * texts.length, (row + 1) * texts.length));
  });
  textFeatures.dispose();
  const textToImage = texts.map((_, text) => Float32Array.from(imageToText, (row) => row[text]!));
  const captionsPerImage = captions.map((each) => each.length);
  const contrast = evaluateRetrieval({ imageToText, textToImage, captionsPerImage });

  const { candidates: textsOf } = rerankCandidates(imageToText, topK);
  const { candidates: imagesOf } = rerankCandidates(textToImage, topK);
  const wanted = rows.map((_, image) => new Set(textsOf[image]));
  for (const [text, images] of imagesOf.entries()) for (const image of images) wanted[image]!.add(text);
  const matched: Map<number, number>[] = [];
  for (const [image, row] of rows.entries()) matched.push(await matchTexts(model, row, [...wanted[image]!], texts));
  const matching = evaluateRetrieval({
    imageToText: rerankedScores(
      imageToText,
      textsOf,
      textsOf.map((list, image) => list.map((text) => matched[image]!.get(text)!)),
    ),
    textToImage: rerankedScores(
      textToImage,
      imagesOf,
      imagesOf.map((list, text) => list.map((image) => matched[image]!.get(text)!)),
    ),
    captionsPerImage,
  });
  return { contrast, matching };
}

async function featuresOf(model: Blip2, texts: readonly string[]): Promise<Tensor2D> {
  const parts = await inBatches(texts, async (some) => [await embedTexts(model, some)]); // [some, width]
  const features = tf.concat(parts); // [texts, width]
  tf.dispose(parts);
  return features;
}

/** Matching logits of one image with some texts, by the texts' numbers. */
async function matchTexts(
  model: Blip2,
  row: DatasetRecord,
  some: readonly number[],
  texts: readonly string[],
): Promise<Map<number, number>> {
  return withTensorScope(async (scope) => {
    const image = await model.decodeImage!(await row.readImage());
    const pixels = scope.own(preprocess([image], model.imageProcessor)); // [1, imageSize, imageSize, 3]
    const features = scope.own(await model.visionEncoder.encode(pixels)); // [1, tokens, width]
    const scores = await inBatches(some, async (numbers) => {
      const batch = encodeBatch(
        model.textTokenizer!,
        numbers.map((text) => texts[text]!),
      );
      const logits = await scope.own(await model.qformer.match(features, batch)).data(); // [texts, 2]
      return numbers.map((_, pair) => logits[2 * pair + 1]!);
    });
    return new Map(some.map((text, place) => [text, scores[place]!]));
  });
}
