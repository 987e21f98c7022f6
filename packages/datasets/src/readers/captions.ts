import { DatasetError } from '@blip2/core';
import { checkEntry, idField, type JsonEntry, placeOf, readJsonEntries, textField, textsField } from '@blip2/core/json';
import { fileSource } from '@blip2/core/node';
import * as z from 'zod/mini';
import type { IndexedDataset } from '../records/record.ts';
import {
  cocoImage,
  cocoImageOfId,
  flickrImage,
  type IdentifyImage,
  noCapsImage,
  sharingImages,
  visualGenomeImage,
} from './image-identity.ts';
import { type CaptionReaderOptions, CaptionTable, type ImageIdentity, type ReaderOptions } from './tables.ts';

/** An entry of the lists that BLIP and LAVIS made of COCO, Flickr30K and Visual Genome: one caption in training, all else. */
const listEntry = z.object({ image: textField, caption: textsField }, 'expected { image, caption }');

/** An image of Karpathy's files. */
const karpathyImage = z.object({
  filename: textField,
  filepath: z.optional(textField),
  cocoid: z.optional(z.int('expected the number of an image')),
  split: textField,
  sentences: z.array(z.object({ raw: textField }, 'expected { raw }'), 'expected a list of { raw }'),
});

const cocoFileImage = z.object({ id: idField, file_name: z.optional(textField) }, 'expected { id, file_name }');
const noCapsFileImage = z.object(
  { id: idField, file_name: textField, domain: z.optional(textField) },
  'expected { id, file_name }',
);
const annotation = z.object({ image_id: idField, caption: textField }, 'expected { image_id, caption }');

/** Captions before their images are known. */
interface LooseCaption {
  readonly imageId: number | string;
  readonly caption: string;
  readonly place: string;
}

/** Brings together what COCO's format keeps in two lists, in whatever order the file has them. */
class CocoFormat {
  readonly images = new Map<number | string, ImageIdentity & { readonly domain?: string }>();
  readonly #captions: LooseCaption[] = [];

  addAnnotation(entry: JsonEntry, path: string): void {
    const place = placeOf(entry);
    const { image_id: imageId, caption } = checkEntry(annotation, entry.value, path, place);
    this.#captions.push({ imageId, caption, place });
  }

  /** @throws {DatasetError} for a caption without an image. */
  addTo(table: CaptionTable, path: string): void {
    for (const image of this.images.values()) table.add(image, []);
    for (const { imageId, caption, place } of this.#captions) {
      const image = this.images.get(imageId);
      if (image === undefined) {
        throw new DatasetError(
          `${path}: ${place}: image_id is ${imageId}, expected the id of one of 'images'. Download the file again.`,
          path,
        );
      }
      table.add(image, [caption]);
    }
  }
}

/**
 * Captions of COCO. Reads the official files (`captions_train2014.json`), Karpathy's `dataset_coco.json` and the lists of
 * BLIP and LAVIS (`coco_karpathy_train.json`), and tells them apart by what is in them.
 *
 * @param path - The file of annotations; of any size, it is read in pieces.
 * @param options.images - The folder with `train2014` and `val2014` in it, or with the images themselves.
 * @returns rows `coco:522418#0`, captions of an image together, images in order of appearance.
 * @throws {DatasetError} naming file and entry, when the file is missing, broken or of another format, or an image's name leads out of the folder.
 * @throws the abort signal's reason.
 *
 * @example
 * const captions = await readCocoCaptions('coco/dataset_coco.json', { images: 'coco', split: 'train' });
 * captions.length; // 566,747
 *
 * Source: the COCO data format; "Deep Visual-Semantic Alignments" (arXiv 1412.2306) for the splits, whose `restval` belongs to training.
 */
export async function readCocoCaptions(path: string, options: CaptionReaderOptions): Promise<IndexedDataset> {
  const table = new CaptionTable();
  const coco = new CocoFormat();
  const identify = sharingImages(cocoImage);
  const onEntry = (entry: JsonEntry): void => {
    const place = placeOf(entry);
    if (entry.key === undefined) return addListEntry(table, entry, path, identify);
    if (entry.key === 'annotations') return coco.addAnnotation(entry, path);
    if (isKarpathy(entry.value)) return addKarpathyImage(table, entry, path, cocoImage);
    const { id: imageId, file_name: name } = checkEntry(cocoFileImage, entry.value, path, place);
    // The ground truth of Karpathy's splits has no names; their images are those of val2014.
    const image = name === undefined ? cocoImageOfId(Number(imageId), ['val2014', 'train2014']) : cocoImage(name, path, place);
    coco.images.set(imageId, image);
  };
  await readJsonEntries(fileSource(path), onEntry, { abortSignal: options.abortSignal, isWanted: isCaptionKey });
  coco.addTo(table, path);
  return table.dataset('coco captions', path, options);
}

/**
 * Captions of Flickr30K: Karpathy's `dataset_flickr30k.json`, or a list of LAVIS.
 *
 * @param options.images - The folder of the images, or the one that `flickr30k-images` lies in.
 * @returns rows `flickr30k:1000092795#0`.
 * @throws {DatasetError} as {@link readCocoCaptions}.
 */
export async function readFlickr30kCaptions(path: string, options: CaptionReaderOptions): Promise<IndexedDataset> {
  const table = new CaptionTable();
  const identify = sharingImages(flickrImage);
  const onEntry = (entry: JsonEntry): void => {
    if (entry.key === undefined) addListEntry(table, entry, path, identify);
    else addKarpathyImage(table, entry, path, flickrImage);
  };
  await readJsonEntries(fileSource(path), onEntry, { abortSignal: options.abortSignal, isWanted: (key) => key === 'images' });
  return table.dataset('flickr30k captions', path, options);
}

const regions = z.object(
  { id: z.int(), regions: z.array(z.object({ phrase: textField }, 'expected { phrase }'), 'expected a list of regions') },
  'expected { id, regions } or { image, caption }',
);

/**
 * Captions of regions in Visual Genome, which training takes as captions of the image: `region_descriptions.json`, or
 * `vg_caption.json` of LAVIS.
 *
 * @param options.images - The folder with `VG_100K` and `VG_100K_2`, or with the images themselves.
 * @returns rows `vg:2345#0`.
 * @throws {DatasetError} as {@link readCocoCaptions}.
 */
export async function readVisualGenomeCaptions(
  path: string,
  options: Omit<CaptionReaderOptions, 'split'>,
): Promise<IndexedDataset> {
  const table = new CaptionTable();
  const identify = sharingImages(visualGenomeImage);
  const onEntry = (entry: JsonEntry): void => {
    const place = placeOf(entry);
    if (isObjectWith(entry.value, 'image')) return addListEntry(table, entry, path, identify);
    const found = checkEntry(regions, entry.value, path, place);
    const phrases = found.regions.map(({ phrase }) => phrase);
    return table.add(visualGenomeImage(`VG_100K/${found.id}.jpg`, path, place), phrases);
  };
  await readJsonEntries(fileSource(path), onEntry, { abortSignal: options.abortSignal });
  return table.dataset('visual genome captions', path, options);
}

const noCapsListEntry = z.object({ image: textField, img_id: idField }, 'expected { image, img_id }');

/**
 * NoCaps, a row for each image: `nocaps_val_4500_captions.json`, whose images have a `domain`, or a list of LAVIS, which has neither
 * domains nor captions.
 *
 * @param options.images - The folder of the images.
 * @returns rows `openimages:0013ea2087020901`; `imageId` is the number that results use.
 * @throws {DatasetError} as {@link readCocoCaptions}.
 *
 * Source: NoCaps (arXiv 1812.08658). Group by the `domain` of the file: published counts differ.
 */
export async function readNoCaps(path: string, options: ReaderOptions): Promise<IndexedDataset> {
  const table = new CaptionTable();
  const coco = new CocoFormat();
  const onEntry = (entry: JsonEntry): void => {
    const place = placeOf(entry);
    if (entry.key === undefined) {
      const { image, img_id: imageId } = checkEntry(noCapsListEntry, entry.value, path, place);
      return table.add(noCapsImage(image, imageId, path, place), []);
    }
    if (entry.key === 'annotations') return coco.addAnnotation(entry, path);
    const { id: imageId, file_name: name, domain } = checkEntry(noCapsFileImage, entry.value, path, place);
    coco.images.set(imageId, { ...noCapsImage(name, imageId, path, place), ...(domain === undefined ? {} : { domain }) });
    return undefined;
  };
  await readJsonEntries(fileSource(path), onEntry, { abortSignal: options.abortSignal, isWanted: isCaptionKey });
  coco.addTo(table, path);
  return table.dataset('nocaps', path, { ...options, rows: 'image' });
}

function addListEntry(table: CaptionTable, entry: JsonEntry, path: string, identify: IdentifyImage): void {
  const { image, caption } = checkEntry(listEntry, entry.value, path, placeOf(entry));
  table.add(identify(image, path, placeOf(entry)), caption);
}

function addKarpathyImage(table: CaptionTable, entry: JsonEntry, path: string, identify: IdentifyImage): void {
  const place = placeOf(entry);
  const { filename, filepath, cocoid, split, sentences } = checkEntry(karpathyImage, entry.value, path, place);
  const image = identify(filepath === undefined ? filename : `${filepath}/${filename}`, path, place);
  if (cocoid !== undefined && cocoid !== image.imageId) {
    throw new DatasetError(
      `${path}: ${place}: cocoid is ${cocoid}, expected ${image.imageId} as in its filename '${filename}'. Download the file again.`,
      path,
    );
  }
  const captions = sentences.map(({ raw }) => raw);
  table.add({ ...image, split: split === 'restval' ? 'train' : split }, captions);
}

function isCaptionKey(key: string): boolean {
  return key === 'images' || key === 'annotations';
}

function isKarpathy(value: unknown): boolean {
  return isObjectWith(value, 'sentences');
}

function isObjectWith(value: unknown, field: string): boolean {
  return typeof value === 'object' && value !== null && field in value;
}
