import type { ImageHeader } from '../image-header.ts';
import { asciiAt, type ExifTag, findExifOrientation } from './exif.ts';

const FIRST_CHUNK = 12; // after 'RIFF', size, 'WEBP'

/**
 * Size and orientation of a WebP file.
 *
 * @throws {RangeError} when the file ends first.
 * @returns `undefined` when the first chunk is none of the three that may stand there.
 *
 * Source: RFC 9649, sections 2.5–2.7, 3.4 and 9.1 of RFC 6386.
 */
export function readWebpHeader(bytes: Uint8Array, view: DataView): ImageHeader | undefined {
  const size = readSize(asciiAt(bytes, FIRST_CHUNK, 4), view, FIRST_CHUNK + 8);
  if (size === undefined) return undefined;
  const exif = findExif(bytes, view);
  return { format: 'WebP', ...size, orientation: exif?.orientation ?? 1, exif };
}

function readSize(chunk: string, view: DataView, at: number): { width: number; height: number } | undefined {
  if (chunk === 'VP8X') return { width: 1 + uint24(view, at + 4), height: 1 + uint24(view, at + 7) };
  if (chunk === 'VP8 ') {
    return { width: view.getUint16(at + 6, true) & 0x3fff, height: view.getUint16(at + 8, true) & 0x3fff };
  }
  if (chunk === 'VP8L') {
    const bits = view.getUint32(at + 1, true); // 14 bits width − 1, 14 bits height − 1
    return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >> 14) & 0x3fff) };
  }
  return undefined;
}

function findExif(bytes: Uint8Array, view: DataView): ExifTag | undefined {
  for (let at = FIRST_CHUNK; at + 8 <= bytes.length;) {
    const length = view.getUint32(at + 4, true);
    if (asciiAt(bytes, at, 4) === 'EXIF') return findExifOrientation(bytes, at + 8, length);
    at += 8 + length + (length & 1);
  }
  return undefined;
}

function uint24(view: DataView, at: number): number {
  return view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
}
