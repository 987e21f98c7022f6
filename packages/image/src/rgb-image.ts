import { ImageError } from '@blip2/core';

/** Height and width in pixels. */
export interface ImageSize {
  readonly height: number;
  readonly width: number;
}

/** Decoded pixels: 8 bits a channel, red, green, blue, rows from the top, without padding. */
export interface RgbImage extends ImageSize {
  /** `height * width * 3` bytes. */
  readonly data: Uint8Array;
}

/** An EXIF orientation: 1 is upright, 2–4 mirror or turn by 180°, 5–8 swap height and width. */
export type ExifOrientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** What undoes each orientation; only the quarter turns 6 and 8 are not their own opposite. */
export const INVERSE_ORIENTATION: Readonly<Record<ExifOrientation, ExifOrientation>> = {
  1: 1,
  2: 2,
  3: 3,
  4: 4,
  5: 5,
  6: 8,
  7: 7,
  8: 6,
};

/**
 * Checks that an image has the bytes its size promises.
 *
 * @param where - What is checked, as it should stand in the message: `'preprocess: images[2]'`.
 * @throws {ImageError} when a side is not a positive integer, or `data` is not `height * width * 3` bytes.
 *
 * @example
 * assertRgbImage({ width: 2, height: 1, data: new Uint8Array(6) }, 'mine');
 */
export function assertRgbImage(image: RgbImage, where: string): void {
  const { width, height, data } = image;
  assertImageSize(image, where);
  if (data instanceof Uint8Array && data.length === width * height * 3) return;
  const found = data instanceof Uint8Array ? `${data.length} bytes` : typeof data;
  throw new ImageError(
    `${where} is ${width}×${height} with data of ${found}, expected a Uint8Array of ${width * height * 3} bytes ` +
      `(width × height × 3, RGB without alpha). Drop the alpha channel of RGBA pixels, or use decodeImage.`,
  );
}

/** Checks that both sides are positive integers. @throws {ImageError} */
export function assertImageSize({ width, height }: ImageSize, where: string): void {
  if (Number.isSafeInteger(width) && Number.isSafeInteger(height) && width > 0 && height > 0) return;
  throw new ImageError(`${where} has width ${width} and height ${height}, expected positive integers. Check the size.`);
}

/**
 * Cuts the middle out of an image. Where the image is smaller than the cut, the rest is black.
 *
 * @returns a new image of exactly `size`; the input is left alone.
 * @throws {ImageError} when the image or the size is malformed.
 *
 * @example
 * const square = centerCrop(image, { width: 224, height: 224 });
 *
 * Source: Hugging Face transformers, `center_crop` of `image_transforms.py` (an odd remainder leaves the larger part
 * at the bottom and at the right).
 */
export function centerCrop(image: RgbImage, size: ImageSize): RgbImage {
  assertRgbImage(image, 'centerCrop: image');
  assertImageSize(size, 'centerCrop: size');
  const top = Math.floor((image.height - size.height) / 2);
  const left = Math.floor((image.width - size.width) / 2);
  const data = new Uint8Array(size.height * size.width * 3);
  const firstColumn = Math.max(0, left);
  const endColumn = Math.min(image.width, left + size.width);
  for (let y = Math.max(0, top); y < Math.min(image.height, top + size.height); y++) {
    const row = image.data.subarray((y * image.width + firstColumn) * 3, (y * image.width + endColumn) * 3);
    data.set(row, ((y - top) * size.width + firstColumn - left) * 3);
  }
  return { width: size.width, height: size.height, data };
}

/**
 * Turns or mirrors an image the way its EXIF orientation says, so that it stands upright.
 *
 * @returns a new image, or the same object for orientation 1.
 * @throws {ImageError} when the image is malformed.
 *
 * @example
 * const upright = applyExifOrientation(image, 6); // a quarter turn clockwise
 *
 * Source: EXIF 2.32, tag 0x0112; Pillow `ImageOps.exif_transpose`.
 */
export function applyExifOrientation(image: RgbImage, orientation: ExifOrientation): RgbImage {
  assertRgbImage(image, 'applyExifOrientation: image');
  if (orientation === 1) return image;
  const { width, height } = image;
  const swapsSides = orientation >= 5;
  const out = { width: swapsSides ? height : width, height: swapsSides ? width : height };
  // Where the output's first pixel lies in the input, and how far a step right or down in the output moves there.
  const fromRight = orientation === 2 || orientation === 3 || orientation === 7 || orientation === 8;
  const fromBottom = orientation === 3 || orientation === 4 || orientation === 6 || orientation === 7;
  const start = (fromBottom ? height - 1 : 0) * width + (fromRight ? width - 1 : 0);
  const alongRow = fromRight ? -1 : 1;
  const alongColumn = fromBottom ? -width : width;
  const [stepRight, stepDown] = swapsSides ? [alongColumn, alongRow] : [alongRow, alongColumn];
  const data = new Uint8Array(image.data.length);
  let to = 0;
  for (let y = 0; y < out.height; y++) {
    let from = (start + y * stepDown) * 3;
    for (let x = 0; x < out.width; x++, from += stepRight * 3) {
      data[to++] = image.data[from]!;
      data[to++] = image.data[from + 1]!;
      data[to++] = image.data[from + 2]!;
    }
  }
  return { ...out, data };
}
