import { ImageError, type Random } from '@blip2/core';
import { randAugment, type RandAugmentOptions } from './rand-augment/rand-augment.ts';
import { resizeBicubic } from './resize-bicubic.ts';
import { applyExifOrientation, assertImageSize, assertRgbImage, type ImageSize, type RgbImage } from './rgb-image.ts';

/** A part of an image, in pixels. */
export interface CropBox extends ImageSize {
  readonly top: number;
  readonly left: number;
}

/** Which parts of an image training sees. */
export interface RandomCropOptions {
  /** The smallest and largest share of the image's area. @default [0.5, 1] */
  readonly scale?: readonly [least: number, most: number];
  /** The smallest and largest width divided by height. @default [3/4, 4/3] */
  readonly aspectRatio?: readonly [least: number, most: number];
}

/** What {@link augmentForTraining} does by chance. */
export interface AugmentationOptions extends RandomCropOptions {
  /** How likely an image is mirrored. @default 0.5 */
  readonly flipProbability?: number;
  /** Whether, and how, tones and geometry are changed last; see {@link randAugment}. @default false */
  readonly randAugment?: boolean | RandAugmentOptions;
}

/** Tries before the middle of the image is taken. Source: torchvision `RandomResizedCrop.get_params`. */
const TRIES = 10;

/**
 * A part of an image.
 *
 * @returns a new image of the box's size; the input is left alone.
 * @throws {ImageError} when the image is malformed or the box is not within it.
 */
export function crop(image: RgbImage, { top, left, height, width }: CropBox): RgbImage {
  assertRgbImage(image, 'crop: image');
  assertImageSize({ height, width }, 'crop: box');
  const isInside = [top, left].every((edge) => Number.isSafeInteger(edge) && edge >= 0);
  if (!isInside || top + height > image.height || left + width > image.width) {
    throw new ImageError(
      `crop: the box is ${width}×${height} at column ${left}, row ${top}, expected one within ${image.width}×${image.height} pixels. Make it smaller or move it.`,
    );
  }
  const data = new Uint8Array(height * width * 3);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * 3;
    data.set(image.data.subarray(from, from + width * 3), y * width * 3);
  }
  return { width, height, data };
}

/** An image as a mirror shows it. @returns a new image. */
export function flipHorizontally(image: RgbImage): RgbImage {
  return applyExifOrientation(image, 2);
}

/**
 * Draws a part of an image of the given size: an area, a shape and a place. Where ten tries do not fit, the middle is taken.
 *
 * @param random - Uniform in [0, 1); a seeded one gives the same box again.
 * @throws {ImageError} when the size is malformed.
 *
 * Source: torchvision `RandomResizedCrop.get_params`; LAVIS `blip2_image_train`.
 */
export function drawCropBox(
  { width, height }: ImageSize,
  random: Random,
  { scale = [0.5, 1], aspectRatio = [3 / 4, 4 / 3] }: RandomCropOptions = {},
): CropBox {
  assertImageSize({ width, height }, 'drawCropBox: size');
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const area = width * height * between(scale, random);
    const ratio = Math.exp(between([Math.log(aspectRatio[0]), Math.log(aspectRatio[1])], random));
    const box = { width: Math.round(Math.sqrt(area * ratio)), height: Math.round(Math.sqrt(area / ratio)) };
    if (box.width < 1 || box.height < 1 || box.width > width || box.height > height) continue;
    const top = Math.floor(random() * (height - box.height + 1));
    return { ...box, top, left: Math.floor(random() * (width - box.width + 1)) };
  }
  const ratio = Math.min(Math.max(width / height, aspectRatio[0]), aspectRatio[1]);
  const box = {
    width: Math.max(1, Math.min(width, Math.round(height * ratio))),
    height: Math.max(1, Math.min(height, Math.round(width / ratio))),
  };
  return { ...box, top: Math.floor((height - box.height) / 2), left: Math.floor((width - box.width) / 2) };
}

/**
 * An image as training sees it: a random part, resized, perhaps mirrored, and with `randAugment` changed by two drawn operations.
 *
 * @returns a new image of exactly `size`.
 * @throws {ImageError} when the image, the size or an option is malformed.
 *
 * @example
 * const seen = augmentForTraining(image, { width: 224, height: 224 }, seededRandom(7), { randAugment: true });
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.4; LAVIS `blip2_image_train`, with `randAugment` `blip_image_train`.
 */
export function augmentForTraining(
  image: RgbImage,
  size: ImageSize,
  random: Random,
  { flipProbability = 0.5, randAugment: changes = false, ...options }: AugmentationOptions = {},
): RgbImage {
  assertRgbImage(image, 'augmentForTraining: image');
  const part = resizeBicubic(crop(image, drawCropBox(image, random, options)), size);
  const seen = random() < flipProbability ? flipHorizontally(part) : part;
  return changes === false ? seen : randAugment(seen, random, changes === true ? {} : changes);
}

function between([least, most]: readonly [number, number], random: Random): number {
  return least + (most - least) * random();
}
