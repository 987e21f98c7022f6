import { DatasetError } from '@blip2/core';
import { assertImageName, nameAndBareName } from './image-files.ts';
import type { ImageIdentity } from './tables.ts';

/** Who the image of that name is. `path` and `place` are for messages. */
export type IdentifyImage = (name: string, path: string, place: string) => ImageIdentity;

/** The same, but an image that is asked for again is the same object: hundreds of thousands of questions share their images. */
export function sharingImages(identify: IdentifyImage): IdentifyImage {
  const known = new Map<string, ImageIdentity>();
  return (name, path, place) => {
    let image = known.get(name);
    if (image === undefined) known.set(name, (image = identify(name, path, place)));
    return image;
  };
}

/** COCO: the number at the end of the file name. `COCO_val2014_000000522418.jpg` lies in `val2014`, or beside the others. */
export function cocoImage(name: string, path: string, place: string): ImageIdentity {
  assertImageName(name, path, place);
  return { ...numbered('coco', name, path, place), names: cocoNames(name) };
}

/** A COCO image of which only the number is known, from one of the given folders. */
export function cocoImageOfId(imageId: number, folders: readonly string[]): ImageIdentity {
  const digits = String(imageId).padStart(12, '0');
  // Pictures of the shapes world are PNG files.
  const names = ['jpg', 'png'].flatMap((ending) => folders.flatMap((folder) => cocoNames(`COCO_${folder}_${digits}.${ending}`)));
  return { imageKey: `coco:${imageId}`, imageId, names };
}

function cocoNames(name: string): readonly string[] {
  const folder = /^COCO_(\w+?)_\d{12}\.\w+$/.exec(name)?.[1];
  return folder === undefined ? nameAndBareName(name) : [`${folder}/${name}`, name];
}

/** Flickr30K: the number that is the file's name. */
export function flickrImage(name: string, path: string, place: string): ImageIdentity {
  assertImageName(name, path, place);
  const names = name.includes('/') ? nameAndBareName(name) : [name, `flickr30k-images/${name}`];
  return { ...numbered('flickr30k', name, path, place), names };
}

/** Visual Genome: the number that is the file's name; its images came in two archives. */
export function visualGenomeImage(name: string, path: string, place: string): ImageIdentity {
  assertImageName(name, path, place);
  const bare = name.slice(name.lastIndexOf('/') + 1);
  const names = [...new Set([name, `VG_100K/${bare}`, `VG_100K_2/${bare}`, bare])];
  return { ...numbered('vg', name, path, place), names };
}

/** GQA: pictures of Visual Genome under their numbers, and others whose name begins with `n`. */
export function gqaImage(name: string, path: string, place: string): ImageIdentity {
  assertImageName(name, path, place);
  const stem = stemOf(name);
  const bare = stemAndEnding(name);
  // Pictures of the shapes world are PNG files, and questions name no ending.
  const names = [...new Set([name, bare, `images/${bare}`, `${stem}.png`, `images/${stem}.png`])];
  return { imageKey: /^\d+$/.test(stem) ? `vg:${Number(stem)}` : `gqa:${stem}`, imageId: stem, names };
}

/** NoCaps: the name that the file has in Open Images. Results call it by a number of their own. */
export function noCapsImage(name: string, imageId: number | string, path: string, place: string): ImageIdentity {
  assertImageName(name, path, place);
  return { imageKey: `openimages:${stemOf(name)}`, imageId, names: nameAndBareName(name) };
}

/** @throws {DatasetError} when the name does not end in a number. */
function numbered(prefix: string, name: string, path: string, place: string): Pick<ImageIdentity, 'imageKey' | 'imageId'> {
  const digits = /(\d+)$/.exec(stemOf(name))?.[1];
  if (digits === undefined || digits.length > 15) {
    throw new DatasetError(
      `${path}: ${place}: the image is named '${name}', expected a name that ends in its number, as all of this data set do. ` +
        `Check that the file is the one you mean.`,
      path,
    );
  }
  return { imageKey: `${prefix}:${Number(digits)}`, imageId: Number(digits) };
}

function stemAndEnding(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

function stemOf(name: string): string {
  return stemAndEnding(name).replace(/\.\w+$/, '');
}
