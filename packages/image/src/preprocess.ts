import { ImageError } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { ImageProcessor, RgbTriple } from './image-processor.ts';
import { resizeBicubic } from './resize-bicubic.ts';
import { assertRgbImage, centerCrop, type ImageSize, type RgbImage } from './rgb-image.ts';

/** What {@link normalizeImages} does with a byte: `(byte * rescaleFactor - mean) / standardDeviation`. */
export interface Normalization {
  readonly rescaleFactor: number;
  readonly mean: RgbTriple;
  readonly standardDeviation: RgbTriple;
}

/** Options of {@link preprocess}. */
export interface PreprocessOptions {
  /** Resizes to this size instead of the processor's, for models that interpolate their positions; switches its crop off. */
  readonly size?: ImageSize;
}

/**
 * Resizes, crops and normalises images for a vision model. They may differ in size: each is resized on its own.
 *
 * @param images - At least one; left alone.
 * @returns `[batch, imageHeight, imageWidth, 3]`, float32; the caller's.
 * @throws {ImageError} when an image is malformed, the list is empty, or the processor does not bring all to one size.
 *
 * @example
 * const pixels = preprocess([image], BLIP2_IMAGE_PROCESSOR); // [1, 224, 224, 3]
 *
 * Source: transformers `BlipImageProcessor`; LAVIS `BlipImageEvalProcessor`. Both give `[batch, 3, height, width]`;
 * here channels come last.
 */
export function preprocess(images: readonly RgbImage[], processor: ImageProcessor, options: PreprocessOptions = {}): Tensor4D {
  const { size } = options;
  const steps = size === undefined ? processor : { resize: size, crop: undefined };
  images.forEach((image, index) => assertRgbImage(image, `preprocess: images[${index}]`));
  return normalizeImages(
    images.map((image) => fit(image, steps)),
    processor,
  );
}

/**
 * Turns bytes into normalised float32 values, with the reference's rounding.
 *
 * @param images - At least one, all of one size; left alone.
 * @returns `[batch, imageHeight, imageWidth, 3]`; the caller's.
 * @throws {ImageError} when the list is empty, an image is malformed, or sizes differ.
 *
 * @example
 * const pixels = normalizeImages([image], { rescaleFactor: 1 / 255, mean: [0.5, 0.5, 0.5], standardDeviation: [0.5, 0.5, 0.5] });
 *
 * Source: transformers `image_transforms.py`, `rescale` (float64, then float32) and `normalize` (float32).
 */
export function normalizeImages(images: readonly RgbImage[], normalization: Normalization): Tensor4D {
  const [first] = images;
  if (first === undefined) throw new ImageError('normalizeImages: images is empty, expected at least one image. Pass an image.');
  images.forEach((image, index) => {
    assertRgbImage(image, `normalizeImages: images[${index}]`);
    if (image.width === first.width && image.height === first.height) return;
    throw new ImageError(
      `normalizeImages: images[${index}] is ${image.width}×${image.height} and images[0] is ${first.width}×${first.height}, ` +
        `expected one size in a batch. Resize them first, or use a processor that resizes or crops to a fixed size.`,
    );
  });
  const tables = normalizationTables(normalization);
  const imageLength = first.data.length;
  const values = new Float32Array(images.length * imageLength);
  images.forEach(({ data }, index) => fillNormalized(values.subarray(index * imageLength), data, tables));
  return tf.tensor4d(values, [images.length, first.height, first.width, 3]);
}

function fit(image: RgbImage, { resize, crop }: Pick<ImageProcessor, 'resize' | 'crop'>): RgbImage {
  const resized = resize === undefined ? image : resizeBicubic(image, sizeFor(image, resize));
  return crop === undefined ? resized : centerCrop(resized, crop);
}

/** With a shortest edge, the longer side keeps the aspect ratio, rounded down as the reference does. */
function sizeFor({ width, height }: ImageSize, resize: NonNullable<ImageProcessor['resize']>): ImageSize {
  if ('height' in resize) return resize;
  const { shortestEdge } = resize;
  const longest = Math.trunc((shortestEdge * Math.max(width, height)) / Math.min(width, height));
  return width <= height ? { width: shortestEdge, height: longest } : { width: longest, height: shortestEdge };
}

/** The value of each of the 256 bytes, a table a channel. */
function normalizationTables({ rescaleFactor, mean, standardDeviation }: Normalization): readonly Float32Array[] {
  return mean.map((channelMean, channel) => {
    const subtrahend = Math.fround(channelMean);
    const divisor = Math.fround(standardDeviation[channel]!);
    // The reference rounds to float32 after each of the three steps.
    return Float32Array.from({ length: 256 }, (_, byte) =>
      Math.fround(Math.fround(Math.fround(byte * rescaleFactor) - subtrahend) / divisor),
    );
  });
}

function fillNormalized(values: Float32Array, data: Uint8Array, tables: readonly Float32Array[]): void {
  const [red, green, blue] = tables as [Float32Array, Float32Array, Float32Array];
  for (let i = 0; i < data.length; i += 3) {
    values[i] = red[data[i]!]!;
    values[i + 1] = green[data[i + 1]!]!;
    values[i + 2] = blue[data[i + 2]!]!;
  }
}
