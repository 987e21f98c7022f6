import { ImageError, untilAborted } from '@blip2/core';
import { DEFAULT_MAX_PIXELS, type DecodeImageOptions } from './decode-options.ts';
import { broken, type ImageHeader, readImageHeader } from './image-header.ts';
import { withCommas } from './read-bytes.ts';
import { applyExifOrientation, INVERSE_ORIENTATION, type RgbImage } from './rgb-image.ts';

/** Decodes a file whose header was read and accepted. The picture comes as stored, unless the format's decoders always turn it. */
export type DecodePixels = (bytes: Uint8Array, header: ImageHeader, where: string, maxPixels: number) => Promise<RgbImage>;

/** What all runtimes do around their decoder: look at the header, refuse what is too large, decode, turn upright. */
export async function decodeBytes(
  bytes: Uint8Array,
  where: string,
  options: DecodeImageOptions,
  decodePixels: DecodePixels,
): Promise<RgbImage> {
  const { abortSignal, exifOrientation = 'apply', maxPixels = DEFAULT_MAX_PIXELS } = options;
  const header = readImageHeader(bytes, where);
  assertPixelCount(header, `${where}: this ${header.format} image`, maxPixels);
  const image = await untilAborted(decodePixels(bytes, header, where, maxPixels), abortSignal);
  if (header.turnedByDecoder === true) {
    return exifOrientation === 'apply' ? image : applyExifOrientation(image, INVERSE_ORIENTATION[header.orientation]);
  }
  if (image.width !== header.width || image.height !== header.height) {
    const found = `its header says ${header.width}×${header.height} pixels, its data has ${image.width}×${image.height}`;
    throw broken(where, header.format, found);
  }
  return exifOrientation === 'apply' ? applyExifOrientation(image, header.orientation) : image;
}

/** @throws {ImageError} when there are more pixels than allowed. */
export function assertPixelCount(size: { width: number; height: number }, where: string, maxPixels: number): void {
  const pixels = size.width * size.height;
  if (pixels <= maxPixels) return;
  throw new ImageError(
    `${where} has ${size.width}×${size.height} = ${withCommas(pixels)} pixels, ` +
      `expected at most ${withCommas(maxPixels)}. Shrink it first; if you trust it, raise the option maxPixels.`,
  );
}

/** The error for a file that the runtime's decoder gives up on. */
export function undecodable(where: string, { format }: ImageHeader, decoder: string, cause: unknown): ImageError {
  const reason = (cause instanceof Error ? cause.message : String(cause)).split('\n')[0]!.trim();
  return new ImageError(
    `${where}: this ${format} file cannot be decoded; ${decoder} says "${reason}". ` +
      `Expected a complete and valid file. Download or copy it again, or save it anew.`,
    { cause },
  );
}
