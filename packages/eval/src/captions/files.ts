import { InputError } from '@blip2/core/errors';
import { indexById } from '../ids.ts';
import type { Id, IndexOptions } from '../ids.ts';

/** Ground truth in COCO's caption format: COCO, NoCaps, LAVIS's `*_gt.json`. Other keys are not read. */
export interface CocoCaptionFile {
  readonly images: readonly {
    readonly id: Id;
    /** NoCaps: `in-domain`, `near-domain` or `out-domain`. */
    readonly domain?: string;
  }[];
  readonly annotations: readonly { readonly image_id: Id; readonly caption: string }[];
}

/** A line of a result file. */
export interface CaptionResult {
  readonly image_id: Id;
  readonly caption: string;
}

/** A line of LAVIS's `coco_karpathy_{val,test}.json` and of its Flickr30K lists. */
export interface LavisCaptions {
  readonly image: string;
  readonly caption: readonly string[];
}

/** `dataset_coco.json` or `dataset_flickr30k.json`, as Karpathy published them. */
export interface KarpathyFile {
  readonly images: readonly {
    readonly filename: string;
    readonly split: string;
    /** The image id; COCO only. */
    readonly cocoid?: number;
    readonly sentences: readonly { readonly raw: string }[];
  }[];
}

/**
 * The reference captions of every image of a COCO caption file, in the order of its images.
 *
 * @throws {InputError} when the file has another form, or an image comes twice.
 */
export function cocoReferences(file: CocoCaptionFile): Map<Id, string[]> {
  if (!Array.isArray(file?.images) || !Array.isArray(file.annotations))
    throw new InputError(
      `cocoReferences: got ${Array.isArray(file) ? 'a list' : `an object with the keys ${Object.keys(file ?? {}).join(', ')}`}, expected images and annotations. ` +
        `Read LAVIS's lists with lavisReferences, Karpathy's files with karpathyReferences.`,
    );
  const references = new Map<Id, string[]>(
    [...indexById('cocoReferences: images', file.images, ({ id }) => id).keys()].map((id) => [id, []]),
  );
  for (const { image_id, caption } of file.annotations) references.get(image_id)?.push(caption);
  return references;
}

/**
 * The captions of a result file.
 *
 * @throws {InputError} when an image comes twice; `duplicates: 'first'` keeps the first, as LAVIS does before it writes the file.
 */
export function captionResults(results: readonly CaptionResult[], options: IndexOptions = {}): Map<Id, string> {
  if (!Array.isArray(results))
    throw new InputError(
      `captionResults: got ${typeof results}, expected a list of { image_id, caption }. Pass the content of a result file.`,
    );
  const byImage = indexById('captionResults', results, ({ image_id }) => image_id, options);
  return new Map([...byImage].map(([id, { caption }]) => [id, caption]));
}

/**
 * The reference captions of LAVIS's validation and test lists. The image id is the number at the end of the file name.
 *
 * @throws {InputError} when a file name has no number, or an image comes twice.
 */
export function lavisReferences(entries: readonly LavisCaptions[]): Map<Id, string[]> {
  const byImage = indexById('lavisReferences', entries, ({ image }) => imageNumber(image));
  return new Map([...byImage].map(([id, { caption }]) => [id, [...caption]]));
}

/**
 * The reference captions of one split of Karpathy's files. The image id is `cocoid`, or the file name where there is none.
 *
 * @param split - `train`, `restval` (COCO, used for training), `val` or `test`.
 * @throws {InputError} when no image is in the split, or an image comes twice.
 */
export function karpathyReferences({ images }: KarpathyFile, split: string): Map<Id, string[]> {
  const chosen = images.filter((image) => image.split === split);
  if (chosen.length === 0)
    throw new InputError(
      `karpathyReferences: no image is in the split '${split}', expected one of ${[...new Set(images.map((image) => image.split))].join(', ')}. Name one of these.`,
    );
  const byImage = indexById('karpathyReferences', chosen, ({ cocoid, filename }) => cocoid ?? filename);
  return new Map([...byImage].map(([id, { sentences }]) => [id, sentences.map(({ raw }) => raw)]));
}

/** The digits after the last underscore of a file name, as LAVIS has it. */
function imageNumber(image: string): number {
  const digits = /_(\d+)\.[^./]+$/.exec(image)?.[1] ?? /(?:^|\/)(\d+)\.[^./]+$/.exec(image)?.[1];
  if (digits === undefined)
    throw new InputError(
      `lavisReferences: the image '${image}' has no number after its last underscore, expected a name like COCO_val2014_000000000042.jpg. ` +
        `Build the references yourself: a Map from image id to captions.`,
    );
  return Number(digits);
}
