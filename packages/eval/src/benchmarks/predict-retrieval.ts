import type { Matcher } from '@blip2/core';
import { InputError } from '@blip2/core/errors';
import { bestCandidates } from '../retrieval/ranks.ts';
import { rerankedScores } from '../retrieval/rerank.ts';
import { ROW_CODEC } from './journal.ts';
import type { ImageItem } from './predict.ts';
import { predictItems, type PredictOptions } from './predict-items.ts';
import type { RetrievalSettings } from './settings.ts';

/** An image of a retrieval set with its captions. */
export interface CaptionedItem<Image> extends ImageItem<Image> {
  readonly captions: readonly string[];
}

/** What `evaluateRetrieval` takes, and how it came about. */
export interface RetrievalPrediction {
  /** `[images, captions]` */
  readonly imageToText: readonly Float32Array[];
  /** `[captions, images]`; not the transposed matrix, because each direction ranks its own candidates again. */
  readonly textToImage: readonly Float32Array[];
  readonly captionsPerImage: readonly number[];
  /** How many captions of each image, and images of each caption, were ranked again: fewer than asked for where there are fewer. */
  readonly reranked: { readonly captions: number; readonly images: number };
}

/**
 * Retrieval in two stages: similarities of everything with everything, then the closer look at the best of each row. The pairs that
 * both directions want are joined, so that an image is read once for all its texts.
 *
 * @param items - With one caption at least each.
 * @throws {InputError} when an image has no caption, or the matcher gives another number of scores than there are texts.
 *
 * Source: LAVIS `blip2_qformer.py`, `compute_sim_matrix`.
 */
export async function predictRetrieval<Image>(
  items: readonly CaptionedItem<Image>[],
  matcher: Matcher<Image>,
  { rerank }: RetrievalSettings,
  options: PredictOptions = {},
): Promise<RetrievalPrediction> {
  const { abortSignal } = options;
  const bare = items.find(({ captions }) => captions.length === 0);
  if (bare !== undefined)
    throw new InputError(`predictRetrieval: image ${bare.id} has no caption, expected at least one. Leave the image out.`);
  const texts = items.flatMap(({ captions }) => captions);
  const captionsPerImage = items.map(({ captions }) => captions.length);
  const similarities = await predictItems(
    items,
    {
      part: 'similarities',
      codec: ROW_CODEC,
      predict: async (some) => {
        const images = some.map(({ image }) => image);
        return assertRows(await matcher.similarities(images, texts, { abortSignal }), texts.length);
      },
    },
    options,
  );
  const imageToText = [...similarities.values()]; // [images, texts]
  const textToImage = texts.map((_, text) => Float32Array.from(imageToText, (row) => row[text]!)); // [texts, images]
  const reranked = { captions: Math.min(rerank, texts.length), images: Math.min(rerank, items.length) };
  if (rerank === 0) return { imageToText, textToImage, captionsPerImage, reranked };

  const textsOf = imageToText.map((row) => bestCandidates(row, rerank));
  const imagesOf = textToImage.map((row) => bestCandidates(row, rerank));
  const wanted = pairsByImage(textsOf, imagesOf);
  const matching = await predictItems(
    items.map((item, image) => ({ ...item, texts: wanted[image]! })),
    {
      part: 'matching',
      codec: ROW_CODEC,
      predict: async ([item]) => {
        const some = item!.texts.map((text) => texts[text]!);
        return assertRows([await matcher.match(item!.image, some, { abortSignal })], some.length);
      },
    },
    { ...options, batchSize: 1 },
  );
  const logits = [...matching.values()].map((row, image) => new Map(wanted[image]!.map((text, place) => [text, row[place]!])));
  const ofImages = textsOf.map((some, image) => some.map((text) => logits[image]!.get(text)!));
  const ofTexts = imagesOf.map((some, text) => some.map((image) => logits[image]!.get(text)!));
  return {
    imageToText: rerankedScores(imageToText, textsOf, ofImages),
    textToImage: rerankedScores(textToImage, imagesOf, ofTexts),
    captionsPerImage,
    reranked,
  };
}

/** For each image the texts that it wants, or that want it, in ascending order. */
function pairsByImage(textsOf: readonly (readonly number[])[], imagesOf: readonly (readonly number[])[]): number[][] {
  const wanted = textsOf.map((texts) => new Set(texts));
  for (const [text, images] of imagesOf.entries()) for (const image of images) wanted[image]!.add(text);
  return wanted.map((texts) => [...texts].toSorted((a, b) => a - b));
}

function assertRows(rows: readonly Float32Array[], length: number): readonly Float32Array[] {
  const wrong = rows.find((row) => row.length !== length);
  if (wrong === undefined) return rows;
  throw new InputError(`predictRetrieval: the matcher gave ${wrong.length} scores for ${length} texts, expected one each.`);
}
