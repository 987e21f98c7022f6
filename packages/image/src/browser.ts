import { ImageError, untilAborted } from '@blip2/core';
import { assertPixelCount, decodeBytes, undecodable } from './decode-bytes.ts';
import { DEFAULT_MAX_PIXELS, type DecodeImageOptions } from './decode-options.ts';
import { decodeGif } from './formats/gif.ts';
import { decodePng } from './formats/png.ts';
import type { ImageHeader } from './image-header.ts';
import { type ByteSource, kindOf, nameOf, readBytes } from './read-bytes.ts';
import { dropAlpha, readBitmap } from './read-bitmap.ts';
import type { RgbImage } from './rgb-image.ts';

export * from './index.ts';

/** Pixels that the browser decoded already. They come as it shows them: upright, in its own reading of the file. */
export type PixelSource = ImageData | ImageBitmapSource;

/** What {@link decodeImage} reads in a browser: a URL (relative to the page), bytes, a Blob or File, or decoded pixels. */
export type ImageSource = string | ByteSource | PixelSource;

/**
 * Reads an image into RGB pixels, with the bytes that Pillow's `Image.open(source).convert("RGB")` gives: alpha is dropped
 * without blending, colour profiles and gamma are not applied. JPEG, PNG, WebP, GIF (first frame), and AVIF where the
 * browser has it. Works in pages and in workers.
 *
 * PNG and GIF are decoded here, because a canvas loses the colour of transparent pixels; the browser decodes the rest.
 *
 * @param source - Read, not kept; an `ImageBitmap` stays open.
 * @returns `[height, width, 3]` bytes, the caller's.
 * @throws {ImageError} when the source is missing, not an image, broken off, damaged, or larger than the limits.
 * @throws the abort signal's reason.
 *
 * @example
 * const { width, height, data } = await decodeImage(fileInput.files[0]);
 *
 * Source: Pillow 12; transformers `load_image`, which applies the EXIF orientation.
 */
export async function decodeImage(source: ImageSource, options: DecodeImageOptions = {}): Promise<RgbImage> {
  options.abortSignal?.throwIfAborted();
  if (!isByteSource(source)) return readPixels(source, `decodeImage: ${kindOf(source)}`, options);
  const where = `decodeImage: ${options.name ?? nameOf(source)}`;
  return decodeBytes(await readBytes(source, where, options), where, options, decodePixels);
}

function isByteSource(source: ImageSource): source is string | ByteSource {
  return (
    typeof source === 'string' ||
    source instanceof URL ||
    source instanceof Uint8Array ||
    source instanceof ArrayBuffer ||
    source instanceof Blob
  );
}

async function readPixels(source: PixelSource, where: string, options: DecodeImageOptions): Promise<RgbImage> {
  const { abortSignal, maxPixels = DEFAULT_MAX_PIXELS } = options;
  if (typeof ImageData !== 'undefined' && source instanceof ImageData) {
    assertPixelCount(source, where, maxPixels);
    return { width: source.width, height: source.height, data: dropAlpha(source.data) };
  }
  let bitmap: ImageBitmap;
  try {
    bitmap = await untilAborted(createImageBitmap(source, AS_STORED), abortSignal);
  } catch (cause) {
    abortSignal?.throwIfAborted();
    throw new ImageError(
      `${where}: found ${kindOf(source)}, which the browser cannot read (${String(cause)}). Expected a URL, bytes, a Blob, ` +
        `ImageData, ImageBitmap, canvas, or an image element that has loaded. Wait for its load event, or pass its URL.`,
      { cause },
    );
  }
  try {
    assertPixelCount(bitmap, where, maxPixels);
    return await readBitmap(bitmap, where);
  } finally {
    bitmap.close();
  }
}

/** No colour management, and colours not multiplied by alpha. */
const AS_STORED: ImageBitmapOptions = { premultiplyAlpha: 'none', colorSpaceConversion: 'none' };

async function decodePixels(bytes: Uint8Array, header: ImageHeader, where: string): Promise<RgbImage> {
  if (header.format === 'PNG') return decodePng(bytes, where);
  if (header.format === 'GIF') return decodeGif(bytes, where);
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([withoutOrientation(bytes, header)]), AS_STORED);
  } catch (cause) {
    throw undecodable(where, header, 'the browser', cause);
  }
  try {
    return await readBitmap(bitmap, where);
  } finally {
    bitmap.close();
  }
}

/**
 * A copy of the file that says it is upright. Browsers disagree on whether `imageOrientation: 'none'` leaves the EXIF
 * orientation alone, and on which formats have one; this way none turns the picture.
 */
function withoutOrientation(bytes: Uint8Array, { exif }: ImageHeader): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  if (exif !== undefined) new DataView(copy.buffer).setUint16(exif.offset, 1, exif.littleEndian);
  return copy;
}
