import { InputError } from '@blip2/core/errors';
import { indexById } from '../ids.ts';
import type { Id, IndexOptions } from '../ids.ts';
import { CaptionCollector } from './annotations.ts';
import type { CaptionAnnotations, CaptionedImage, Fail } from './annotations.ts';

/** Ground truth in COCO's caption format: COCO, NoCaps, LAVIS's `*_gt.json`. Other keys are not read. */
export interface CocoCaptionFile {
  readonly images: readonly CocoImage[];
  readonly annotations: readonly { readonly image_id: Id; readonly caption: string }[];
}

/** An image of COCO's caption format. */
export interface CocoImage {
  readonly id: Id;
  readonly file_name?: string;
  /** NoCaps: `in-domain`, `near-domain` or `out-domain`. */
  readonly domain?: string;
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
  readonly images: readonly KarpathyImage[];
}

/** An image of Karpathy's files. */
export interface KarpathyImage {
  readonly filename: string;
  /** Its folder; COCO only. */
  readonly filepath?: string;
  /** `train`, `restval` (COCO, used for training), `val` or `test`. */
  readonly split: string;
  /** The image id; COCO only. */
  readonly cocoid?: number;
  readonly sentences: readonly { readonly raw: string }[];
}

/**
 * Images and captions of a COCO caption file. Captions of images that are not in its list are left out, as by the official tools.
 *
 * @throws {InputError} when the file has another form, or an image comes twice.
 */
export function cocoAnnotations(file: CocoCaptionFile): CaptionAnnotations {
  if (!Array.isArray(file?.images) || !Array.isArray(file.annotations))
    throw new InputError(
      `cocoAnnotations: got ${Array.isArray(file) ? 'a list' : `an object with the keys ${Object.keys(file ?? {}).join(', ')}`}, expected images and annotations. ` +
        `Read LAVIS's lists with lavisAnnotations, Karpathy's files with karpathyAnnotations.`,
    );
  const collector = new CaptionCollector();
  for (const image of file.images) collector.add(cocoImage(image), failOf('cocoAnnotations'));
  for (const { image_id, caption } of file.annotations) collector.addCaption(image_id, caption);
  return collector.finish();
}

/**
 * Images and captions of LAVIS's validation and test lists. The image id is the number at the end of the file name.
 *
 * @throws {InputError} when a file name has no number, or an image comes twice.
 */
export function lavisAnnotations(entries: readonly LavisCaptions[]): CaptionAnnotations {
  const fail = failOf('lavisAnnotations');
  const collector = new CaptionCollector();
  for (const entry of entries) collector.add(lavisImage(entry, fail), fail);
  return collector.finish();
}

/**
 * Images and captions of one split of Karpathy's files. The image id is `cocoid`, or the file name where there is none.
 *
 * @param split - `train`, `restval` (COCO, used for training), `val` or `test`.
 * @throws {InputError} when no image is in the split, or an image comes twice.
 */
export function karpathyAnnotations({ images }: KarpathyFile, split: string): CaptionAnnotations {
  const fail = failOf('karpathyAnnotations');
  const collector = new CaptionCollector();
  const chosen = images.filter((image) => image.split === split);
  if (chosen.length === 0)
    throw noSuchSplit(
      split,
      images.map((image) => image.split),
      fail,
    );
  for (const image of chosen) collector.add(karpathyImage(image), fail);
  return collector.finish();
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

/** An image of COCO's format; its captions are elsewhere. */
export function cocoImage({ id, file_name, domain }: CocoImage): CaptionedImage {
  return { id, fileName: file_name, domain, captions: [] };
}

/** An image of Karpathy's files. */
export function karpathyImage({ filename, filepath, cocoid, sentences }: KarpathyImage): CaptionedImage {
  const fileName = filepath === undefined ? filename : `${filepath}/${filename}`;
  return { id: cocoid ?? filename, fileName, captions: sentences.map(({ raw }) => raw) };
}

/** An image of a LAVIS list. @throws what `fail` makes of a file name without a number. */
export function lavisImage({ image, caption }: LavisCaptions, fail: Fail): CaptionedImage {
  // The digits after the last underscore, as LAVIS has it; Flickr30K's names are numbers.
  const digits = /_(\d+)\.[^./]+$/.exec(image)?.[1] ?? /(?:^|\/)(\d+)\.[^./]+$/.exec(image)?.[1];
  if (digits === undefined)
    throw fail(
      `the image '${image}' has no number after its last underscore, expected a name like COCO_val2014_000000000042.jpg. ` +
        `Build the references yourself: a Map from image id to captions.`,
    );
  return { id: Number(digits), fileName: image, captions: caption };
}

/** An error that names the splits that there are. */
export function noSuchSplit(split: string, splits: Iterable<string>, fail: Fail): Error {
  return fail(`no image is in the split '${split}', expected one of ${[...new Set(splits)].join(', ')}. Name one of these.`);
}

function failOf(where: string): Fail {
  return (what) => new InputError(`${where}: ${what}`);
}
