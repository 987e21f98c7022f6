import type { Id } from '../ids.ts';

/** The texts of a retrieval set, numbered image by image. */
export interface RetrievalTexts {
  readonly images: readonly Id[];
  /** All captions of the first image, then those of the second, and so on. */
  readonly texts: readonly string[];
  /** What `evaluateRetrieval` wants to know. */
  readonly captionsPerImage: readonly number[];
}

/**
 * The captions of a data set in the order in which retrieval numbers them; the references of `readCaptionAnnotations` or `cocoAnnotations`.
 * All captions of an image count, also where there are more than five.
 *
 * Source: LAVIS `retrieval_datasets.py`.
 */
export function retrievalTexts(references: ReadonlyMap<Id, readonly string[]>): RetrievalTexts {
  const captions = [...references.values()];
  return { images: [...references.keys()], texts: captions.flat(), captionsPerImage: captions.map(({ length }) => length) };
}
