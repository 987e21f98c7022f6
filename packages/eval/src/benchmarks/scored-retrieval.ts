import { bestCandidates, type ScoreRow } from '../retrieval/ranks.ts';
import { evaluateRetrieval, type Recalls } from '../retrieval/retrieval.ts';
import type { Benchmark, ScoredItem } from './benchmark-run.ts';
import type { Scored } from './scored.ts';

/**
 * Flickr30K and COCO retrieval: recalls by LAVIS's names, in percent. Items are the queries of both directions, images that look for a
 * caption and captions that look for their image; the main score is the share of all of them that find it first.
 *
 * @param input.images - Names of the images' files, in the order of the rows.
 * @param input.captions - `[images]`, the captions of each.
 * @throws {InputError} as `evaluateRetrieval`.
 */
export function scoreRetrieval({
  benchmark,
  images,
  captions,
  imageToText,
  textToImage,
}: {
  readonly benchmark: Extract<Benchmark, 'flickr30k' | 'coco-retrieval'>;
  readonly images: readonly string[];
  readonly captions: readonly (readonly string[])[];
  readonly imageToText: readonly ScoreRow[];
  readonly textToImage: readonly ScoreRow[];
}): Scored {
  const captionsPerImage = captions.map(({ length }) => length);
  const { text, image, mean, textRanks, imageRanks } = evaluateRetrieval({ imageToText, textToImage, captionsPerImage });
  const texts = captions.flat();
  const imageOf = captions.flatMap(({ length }, index) => Array<number>(length).fill(index));
  const ofImages = images.map((name, index): ScoredItem => ({
    id: name,
    score: textRanks[index] === 0 ? 100 : 0,
    prediction: texts[bestCandidates(imageToText[index]!, 1)[0]!]!,
    references: captions[index]!,
    image: name,
    groups: { direction: 'text retrieval' },
    otherScores: { rank: textRanks[index]! + 1 },
  }));
  const ofTexts = texts.map((query, index): ScoredItem => ({
    id: `${images[imageOf[index]!]!}#${index}`,
    score: imageRanks[index] === 0 ? 100 : 0,
    prediction: images[bestCandidates(textToImage[index]!, 1)[0]!]!,
    references: [images[imageOf[index]!]!],
    question: query,
    image: images[imageOf[index]!]!,
    groups: { direction: 'image retrieval' },
    otherScores: { rank: imageRanks[index]! + 1 },
  }));
  return {
    benchmark,
    mainScore: 'R@1',
    scores: { ...named('txt', text), ...named('img', image), r_mean: mean, agg_metrics: text.mean },
    items: [...ofImages, ...ofTexts],
  };
}

function named(prefix: 'txt' | 'img', { r1, r5, r10, mean }: Recalls): Record<string, number> {
  return { [`${prefix}_r1`]: r1, [`${prefix}_r5`]: r5, [`${prefix}_r10`]: r10, [`${prefix}_r_mean`]: mean };
}
