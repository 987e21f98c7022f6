import { ImageError } from '@blip2/core';
import { isAvif, readAvifHeader } from './formats/avif-header.ts';
import { asciiAt, type ExifTag } from './formats/exif.ts';
import { readGifHeader } from './formats/gif.ts';
import { readJpegHeader } from './formats/jpeg-header.ts';
import { readPngHeader } from './formats/png-chunks.ts';
import { readWebpHeader } from './formats/webp-header.ts';
import type { ExifOrientation, ImageSize } from './rgb-image.ts';

/** The file formats that are read. */
export type ImageFormat = 'JPEG' | 'PNG' | 'GIF' | 'WebP' | 'AVIF';

/** What a file says of its picture before anything is decoded. */
export interface ImageHeader extends ImageSize {
  readonly format: ImageFormat;
  /** How the stored picture is to be turned. */
  readonly orientation: ExifOrientation;
  /** Where the orientation stands in the file, when it is an EXIF tag. */
  readonly exif?: ExifTag | undefined;
  /** Every decoder turns the picture by itself (AVIF); otherwise it comes as stored. */
  readonly turnedByDecoder?: boolean;
  /** JPEG: 1 grey, 3 colour, 4 CMYK or YCCK. */
  readonly components?: number;
  /** PNG: grey of 16 bits, which Pillow clips at 255. */
  readonly isGray16?: boolean;
}

type ReadHeader = (bytes: Uint8Array, view: DataView) => ImageHeader | undefined;

/**
 * Reads format, size and orientation from the first bytes of an image file, without decoding it.
 *
 * @param bytes - The whole file; left alone.
 * @param where - Start of the message on failure: `'decodeImage: cat.jpg'`.
 * @throws {ImageError} when the bytes are not a JPEG, PNG, GIF, WebP or AVIF file, or the header is broken off or has no pixels.
 *
 * @example
 * const { format, width, height } = readImageHeader(bytes, 'cat.jpg');
 */
export function readImageHeader(bytes: Uint8Array, where: string): ImageHeader {
  const reader = readerFor(bytes);
  if (reader === undefined) {
    throw new ImageError(
      `${where}: found ${describeBytes(bytes)}, expected a JPEG, PNG, WebP, GIF or AVIF image. ` +
        `Check that this is the file you mean, or convert it to PNG or JPEG first.`,
    );
  }
  let header: ImageHeader | undefined;
  try {
    header = reader.read(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (cause) {
    if (cause instanceof RangeError)
      throw truncated(where, reader.format, `its header breaks off after ${bytes.length} bytes`, cause);
    throw cause;
  }
  if (header === undefined) throw broken(where, reader.format, 'its header has no picture size');
  if (header.width > 0 && header.height > 0) return header;
  throw broken(where, header.format, `its header says ${header.width}×${header.height} pixels`);
}

/** The error for a file that ends too early. */
export function truncated(where: string, format: ImageFormat, found: string, cause?: unknown): ImageError {
  return new ImageError(
    `${where}: this ${format} file is cut off or damaged: ${found}. Expected a complete file. Download or copy it again.`,
    cause === undefined ? undefined : { cause },
  );
}

/** The error for a file that contradicts its format. */
export function broken(where: string, format: ImageFormat, found: string, cause?: unknown): ImageError {
  return new ImageError(
    `${where}: this ${format} file is damaged: ${found}. Expected a valid ${format} file. Download it again or save it anew.`,
    cause === undefined ? undefined : { cause },
  );
}

function readerFor(bytes: Uint8Array): { format: ImageFormat; read: ReadHeader } | undefined {
  const start = asciiAt(bytes, 0, 12);
  if (start.startsWith('\xff\xd8\xff')) return { format: 'JPEG', read: readJpegHeader };
  if (start.startsWith('\x89PNG\r\n\x1a\n')) return { format: 'PNG', read: readPngHeader };
  if (/^GIF8[79]a/.test(start)) return { format: 'GIF', read: readGifHeader };
  if (/^RIFF[^]{4}WEBP/.test(start)) return { format: 'WebP', read: readWebpHeader };
  if (isAvif(bytes)) return { format: 'AVIF', read: readAvifHeader };
  return undefined;
}

/** Other formats by what stands at an offset, so that a message can say what a file is instead. */
const KNOWN_STARTS: readonly (readonly [offset: number, start: string, name: string])[] = [
  [0, 'II*\0', 'a TIFF image'],
  [0, 'MM\0*', 'a TIFF image'],
  [0, 'BM', 'a BMP image'],
  [4, 'ftyphei', 'a HEIC image'],
  [4, 'ftyphev', 'a HEIC image'],
  [4, 'ftypmif1', 'a HEIC image'],
  [4, 'ftyp', 'an MP4 or other ISO media file'],
  [0, '\xff\x0a', 'a JPEG XL image'],
  [4, 'JXL ', 'a JPEG XL image'],
  [4, 'jP  ', 'a JPEG 2000 image'],
  [0, '8BPS', 'a Photoshop document'],
  [0, '\0\0\x01\0', 'an icon file'],
  [0, '%PDF-', 'a PDF document'],
  [0, 'PK\x03\x04', 'a ZIP archive'],
  [0, '\x1f\x8b', 'gzip data'],
  [0, 'RIFF', 'a RIFF file that is not WebP'],
  [0, 'version https://git-lfs', 'a Git LFS pointer instead of the file'],
];

const SVG = /^\s*(<\?xml[^]*)?<svg/i;
const HTML = /^\s*(<!doctype html|<html)/i;
const TEXT = /^[\t\n\r\x20-\x7e\x80-\xff]*$/;

function describeBytes(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'an empty file (0 bytes)';
  const start = asciiAt(bytes, 0, 256);
  const known = KNOWN_STARTS.find(([offset, text]) => start.startsWith(text, offset));
  if (known !== undefined) return known[2];
  if (SVG.test(start)) return 'an SVG drawing';
  if (HTML.test(start)) return 'an HTML page';
  if (TEXT.test(start)) return `text (${JSON.stringify(start.slice(0, 24))}…)`;
  const hex = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return `bytes of no known format (${hex}…)`;
}
