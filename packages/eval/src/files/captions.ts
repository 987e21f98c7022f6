import { type FileSource, type JsonEntry, idField, textField } from '@blip2/core/json';
import * as z from 'zod/mini';
import { type CaptionAnnotations, CaptionCollector, type Fail } from '../captions/annotations.ts';
import { cocoImage, type KarpathyImage, karpathyImage, type LavisCaptions, lavisImage, noSuchSplit } from '../captions/files.ts';
import type { Id, IndexOptions } from '../ids.ts';
import { type LoadOptions, type OpenFile, readFormats } from './read-formats.ts';
import { SeenIds } from './seen-ids.ts';

/** Options of {@link readCaptionAnnotations} and {@link readRetrievalSet}. */
export interface SplitOptions extends LoadOptions {
  /** Of Karpathy's files; the others have one split each. @default 'test' */
  readonly split?: string;
}

/** An image of Karpathy's files. */
export const karpathyEntry: z.ZodMiniType<KarpathyImage, unknown> = z.object(
  {
    filename: textField,
    filepath: z.optional(textField),
    cocoid: z.optional(z.int('expected the number of an image')),
    split: textField,
    sentences: z.array(z.object({ raw: textField }, 'expected { raw }'), 'expected a list of { raw }'),
  },
  'expected { filename, split, sentences }',
);

/** An entry of LAVIS's lists of validation and test. */
export const lavisEntry: z.ZodMiniType<LavisCaptions, unknown> = z.object(
  { image: textField, caption: z.array(textField, 'expected a list of captions, as in the lists of validation and test') },
  'expected { image, caption }',
);

const cocoImageEntry = z.object(
  { id: idField, file_name: z.nullish(textField), domain: z.nullish(textField) },
  'expected { id }',
);
const cocoCaptionEntry = z.object({ image_id: idField, caption: textField }, 'expected { image_id, caption }');

/**
 * Images and what people said of them: the ground truth of COCO captions and NoCaps.
 *
 * Reads COCO's caption format (also NoCaps, which adds domains, and LAVIS's `coco_karpathy_{val,test}_gt.json`), LAVIS's lists
 * `coco_karpathy_{val,test}.json` and Karpathy's `dataset_*.json`, and tells them apart by what is in them. Image ids are those of
 * {@link cocoAnnotations}, {@link lavisAnnotations} and {@link karpathyAnnotations}.
 *
 * Rules: a caption may be empty; captions of images that the file does not list are left out, as by the official tools.
 *
 * @throws {DatasetError} naming file and entry, when the file is broken, of another format, has an image twice or no captions at all.
 * @throws the abort signal's reason.
 *
 * @example
 * const { references, domains } = await readCaptionAnnotations(fileSource('nocaps_val_4500_captions.json'));
 */
export async function readCaptionAnnotations(
  source: FileSource,
  { abortSignal, split = 'test' }: SplitOptions = {},
): Promise<CaptionAnnotations> {
  const collector = new CaptionCollector();
  const splits = new Set<string>();
  let captions = 0;
  const file = await readFormats(
    source,
    {
      'coco-captions': (entry, open) => {
        captions += addCocoEntry(collector, entry, open);
      },
      'lavis-captions': (entry, open) => {
        const fail: Fail = (what) => open.fail(what, entry);
        const checked = open.check(lavisEntry, entry);
        captions += checked.caption.length;
        collector.add(lavisImage(checked, fail), fail);
      },
      karpathy: (entry, open) => {
        const checked = open.check(karpathyEntry, entry);
        splits.add(checked.split);
        if (checked.split !== split) return;
        captions += checked.sentences.length;
        collector.add(karpathyImage(checked), (what) => open.fail(what, entry));
      },
    },
    { abortSignal },
  );
  const annotations = collector.finish();
  if (annotations.images.size === 0 && splits.size > 0) throw noSuchSplit(split, splits, (what) => file.fail(what));
  if (captions === 0)
    throw file.fail(
      `has ${annotations.images.size} images and no captions, expected what people said of them. Test splits are scored by a server; take one with captions.`,
    );
  return annotations;
}

/** @returns how many captions the entry has. */
function addCocoEntry(collector: CaptionCollector, entry: JsonEntry, file: OpenFile): number {
  if (entry.key === 'annotations') {
    const { image_id: imageId, caption } = file.check(cocoCaptionEntry, entry);
    collector.addCaption(imageId, caption);
    return 1;
  }
  const { id, file_name, domain } = file.check(cocoImageEntry, entry);
  const image = cocoImage({ id, file_name: file_name ?? undefined, domain: domain ?? undefined });
  collector.add(image, (what) => file.fail(what, entry));
  return 0;
}

/**
 * The captions of a result file of COCO captions or NoCaps, by image.
 *
 * Rules: a caption may be empty, it scores like any other; whether all images have one, and no others, is for the scorer to check.
 *
 * @param options.duplicates - `'throw'`, or take the `'first'` of several, as LAVIS does before it writes the file. @default 'throw'
 * @throws {DatasetError} naming file and entry, when the file is broken, of another format, or has an image twice.
 * @throws the abort signal's reason.
 */
export async function readCaptionResults(
  source: FileSource,
  { abortSignal, duplicates = 'throw' }: LoadOptions & IndexOptions = {},
): Promise<Map<Id, string>> {
  const results = new Map<Id, string>();
  const seen = new SeenIds('image', { duplicates });
  await readFormats(
    source,
    {
      'caption-results': (entry, file) => {
        const { image_id: imageId, caption } = file.check(cocoCaptionEntry, entry);
        if (seen.isNew(imageId, entry, file)) results.set(imageId, caption);
      },
    },
    { abortSignal },
  );
  return results;
}
