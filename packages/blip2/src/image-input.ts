import { InputError, type RunOptions, withTensorScope } from '@blip2/core';
import { preprocess, type RgbImage } from '@blip2/image';
import type { Tensor3D } from '@tensorflow/tfjs-core';
import type { Blip2 } from './blip2.ts';

/** An image: decoded pixels, or something the entry's decoder reads — a path (Node), URL, bytes or Blob. */
export type ImageSource = RgbImage | string | URL | Uint8Array | ArrayBuffer | Blob;

/** Turns a file, URL, bytes or Blob into pixels. */
export type ImageDecoder = (
  source: Exclude<ImageSource, RgbImage>,
  options?: Pick<RunOptions, 'abortSignal'>,
) => Promise<RgbImage>;

/** One image or a list; functions always answer with a list. */
export type ImageSources = ImageSource | readonly ImageSource[];

/** The list form of an image argument. */
export function asList<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

/**
 * Decodes what is not decoded yet.
 * @throws {InputError} for an empty list, or when this entry of the package has no decoder.
 */
export async function readImages(
  model: Blip2,
  sources: ImageSources,
  options: Pick<RunOptions, 'abortSignal'> = {},
): Promise<RgbImage[]> {
  const list = asList(sources);
  if (list.length === 0) throw new InputError('No image was given. Pass at least one.');
  return Promise.all(list.map((source) => readImage(model, source, options)));
}

/** Decodes one image; pixels pass through. */
export async function readImage(
  model: Blip2,
  source: ImageSource,
  options: Pick<RunOptions, 'abortSignal'> = {},
): Promise<RgbImage> {
  if (isRgbImage(source)) return source;
  if (model.decodeImage === undefined) {
    throw new InputError(
      `This model has no image decoder, so it takes decoded pixels ({ width, height, data }) only. ` +
        `Load it with loadBlip2 from 'blip2/node' or 'blip2/browser' to pass files, URLs and Blobs.`,
    );
  }
  return model.decodeImage(source, options);
}

function isRgbImage(source: ImageSource): source is RgbImage {
  return typeof source === 'object' && 'width' in source && 'height' in source && 'data' in source;
}

/**
 * Images through preprocessing and the vision encoder.
 * @returns `[batch, tokens, width]`, before `ln_vision`; the caller's.
 */
export async function encodeImages(model: Blip2, images: readonly RgbImage[], options: RunOptions = {}): Promise<Tensor3D> {
  return withTensorScope(async (scope) => {
    const pixels = scope.own(preprocess(images, model.imageProcessor)); // [batch, imageSize, imageSize, 3]
    return model.visionEncoder.encode(pixels, options); // [batch, tokens, width]
  });
}
