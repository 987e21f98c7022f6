import type { FileSource, JsonEntry } from '@blip2/core/json';
import { karpathyImage, noSuchSplit } from '../captions/files.ts';
import { karpathyEntry, lavisEntry, type SplitOptions } from './captions.ts';
import { type OpenFile, readFormats } from './read-formats.ts';
import { SeenIds } from './seen-ids.ts';

/** Images and texts that look for each other. */
export interface RetrievalSet {
  /** Names of the images' files, in the order of the file: row or column numbers of scores. */
  readonly images: string[];
  /** All captions of each image, also where there are more than five. Texts are numbered image by image. */
  readonly captions: string[][];
}

/**
 * The images and captions of Flickr30K or COCO retrieval, in the order in which scores number them: Karpathy's `dataset_*.json`, or a
 * list of LAVIS (`flickr30k_test.json`).
 *
 * @throws {DatasetError} naming file and entry, when the file is broken, of another format, has an image twice or one without captions, or no image of the split.
 * @throws the abort signal's reason.
 *
 * @example
 * const { images, captions } = await readRetrievalSet(fileSource('dataset_flickr30k.json'));
 * evaluateRetrieval({ imageToText, textToImage, captionsPerImage: captions.map(({ length }) => length) });
 *
 * Source: LAVIS `retrieval_datasets.py`.
 */
export async function readRetrievalSet(
  source: FileSource,
  { abortSignal, split = 'test' }: SplitOptions = {},
): Promise<RetrievalSet> {
  const [images, captions]: [string[], string[][]] = [[], []];
  const seen = new SeenIds('image');
  const splits = new Set<string>();
  const add = (image: string, texts: readonly string[], entry: JsonEntry, file: OpenFile): void => {
    seen.isNew(image, entry, file);
    if (texts.length === 0)
      throw file.fail(`has no captions, expected at least one: nothing could be found for the image. Leave it out.`, entry);
    images.push(image);
    captions.push([...texts]);
  };
  const file = await readFormats(
    source,
    {
      karpathy: (entry, open) => {
        const checked = open.check(karpathyEntry, entry);
        splits.add(checked.split);
        if (checked.split !== split) return;
        const { fileName, captions: texts } = karpathyImage(checked);
        add(fileName!, texts, entry, open);
      },
      'lavis-captions': (entry, open) => {
        const { image, caption } = open.check(lavisEntry, entry);
        add(image, caption, entry, open);
      },
    },
    { abortSignal },
  );
  if (images.length === 0) throw noSuchSplit(split, splits, (what) => file.fail(what));
  return { images, captions };
}
