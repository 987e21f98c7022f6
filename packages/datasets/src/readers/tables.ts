import { DatasetError } from '@blip2/core';
import { indexedDataset, intervalOf, runningSums } from '../records/indexed-dataset.ts';
import type { DatasetRecord, IndexedDataset, Question, ReadOptions } from '../records/record.ts';
import { imagePaths, readImageFile } from './image-files.ts';

/** What the readers of files with images beside them have in common. */
export interface ReaderOptions extends ReadOptions {
  /** The folder that the images lie in, as the annotations name them or without the folders that they name. */
  readonly images: string;
}

/** How the readers of captions make rows. */
export interface CaptionReaderOptions extends ReaderOptions {
  /** A row for each caption, as training wants, or for each image with all of its captions. @default 'caption' */
  readonly rows?: 'caption' | 'image';
  /** Takes one split of a file that has several: `train` (with COCO's `restval`), `val` or `test`. @default all of them */
  readonly split?: string;
}

/** Who an image is, in all data sets. */
export interface ImageIdentity {
  /** `coco:522418` */
  readonly imageKey: string;
  readonly imageId: number | string;
  /** Where its file may lie below the folder of images; checked. */
  readonly names: readonly string[];
}

/** An image of a data set and what is said of it. */
export interface CaptionedImage extends ImageIdentity {
  readonly captions: string[];
  readonly split?: string;
  readonly domain?: string;
}

/** A question and its image. */
export interface AskedImage extends ImageIdentity {
  readonly question: Question;
  readonly split?: string;
}

/** Captions that come one by one or in lists, brought together by image, in order of appearance. */
export class CaptionTable {
  readonly #images = new Map<string, CaptionedImage>();

  /** Adds captions to their image. */
  add(image: Omit<CaptionedImage, 'captions'>, captions: readonly string[]): void {
    const known = this.#images.get(image.imageKey);
    if (known === undefined) this.#images.set(image.imageKey, { ...image, captions: [...captions] });
    else known.captions.push(...captions);
  }

  get(imageKey: string): CaptionedImage | undefined {
    return this.#images.get(imageKey);
  }

  /** @throws {DatasetError} when no row is left. */
  dataset(name: string, path: string, { images: folder, rows = 'caption', split }: CaptionReaderOptions): IndexedDataset {
    const all = [...this.#images.values()];
    const images = split === undefined ? all : all.filter((image) => image.split === split);
    if (images.length === 0 && split !== undefined) throw noSuchSplit(path, split, all);
    const perImage = rows === 'image';
    const starts = runningSums(images.map(({ captions }) => (perImage ? 1 : captions.length)));
    assertRows(path, starts.at(-1)!, perImage ? 'images' : 'captions');
    return indexedDataset(name, starts.at(-1)!, (index) => {
      const which = perImage ? index : intervalOf(starts, index);
      const image = images[which]!;
      if (perImage) return recordOf(image, folder, image.imageKey);
      const number = index - starts[which]!;
      return { ...recordOf(image, folder, `${image.imageKey}#${number}`), captions: [image.captions[number]!] };
    });
  }
}

/**
 * Questions as a data set, a row each.
 *
 * @throws {DatasetError} when there are none, or two have one id.
 */
export function questionDataset(name: string, path: string, asked: readonly AskedImage[], folder: string): IndexedDataset {
  assertRows(path, asked.length, 'questions');
  const prefix = name.replaceAll(' ', '-');
  return indexedDataset(name, asked.length, (index) => {
    const one = asked[index]!;
    return { ...recordOf(one, folder, `${prefix}:${one.question.id}`), question: one.question };
  });
}

/** @throws {DatasetError} for the second question with an id. */
export class QuestionIds {
  readonly #seen = new Set<number | string>();

  add(questionId: number | string, path: string, place: string): void {
    if (this.#seen.has(questionId)) {
      throw new DatasetError(
        `${path}: ${place}: the question id ${questionId} comes a second time, expected each once. Correct the file, or download it again.`,
        path,
      );
    }
    this.#seen.add(questionId);
  }
}

function recordOf(image: Partial<CaptionedImage> & ImageIdentity, folder: string, key: string): DatasetRecord {
  const { imageKey, imageId, names, captions, split, domain } = image;
  return {
    key,
    imageKey,
    imageId,
    readImage: (options) => readImageFile(folder, names, options),
    imageFiles: imagePaths(folder, names),
    ...(captions === undefined ? {} : { captions }),
    ...(split === undefined ? {} : { split }),
    ...(domain === undefined ? {} : { domain }),
  };
}

function assertRows(path: string, length: number, what: string): void {
  if (length > 0) return;
  throw new DatasetError(`${path}: has no ${what}, expected at least one. Check that the file is the one you mean.`, path);
}

function noSuchSplit(path: string, split: string, images: readonly CaptionedImage[]): DatasetError {
  const found = [...new Set(images.map((image) => image.split ?? '(none)'))].slice(0, 5).join(', ');
  return new DatasetError(
    `${path}: no image is of the split '${split}', expected one of those in the file: ${found || '(no images)'}. ` +
      `Pass one of them, or leave the split out for a file that has only one.`,
    path,
  );
}
