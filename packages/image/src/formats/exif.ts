import type { ExifOrientation } from '../rgb-image.ts';

/** Where a file says how to turn its picture. */
export interface ExifTag {
  readonly orientation: ExifOrientation;
  /** Offset in the file of the 16-bit value. */
  readonly offset: number;
  readonly littleEndian: boolean;
}

const ORIENTATION_TAG = 0x0112;
const SHORT = 3;
const ENTRY_BYTES = 12;

/**
 * Finds the orientation in an EXIF block: a TIFF header, after `Exif\0\0` or without it.
 * A block that makes no sense has no orientation, as for every other reader.
 *
 * Source: EXIF 2.32, sections 4.5 and 4.6.2; TIFF 6.0, section 2.
 */
export function findExifOrientation(bytes: Uint8Array, start: number, length: number): ExifTag | undefined {
  const prefixed = asciiAt(bytes, start, 6) === 'Exif\0\0';
  const begin = prefixed ? start + 6 : start;
  const size = Math.min(start + length, bytes.length) - begin;
  const byteOrder = asciiAt(bytes, begin, 2);
  if (size < 8 || (byteOrder !== 'II' && byteOrder !== 'MM')) return undefined;
  const littleEndian = byteOrder === 'II';
  const block = new DataView(bytes.buffer, bytes.byteOffset + begin, size);
  const directory = block.getUint32(4, littleEndian);
  if (directory + 2 > size) return undefined;
  const entries = block.getUint16(directory, littleEndian);
  for (let index = 0; index < entries; index++) {
    const entry = directory + 2 + index * ENTRY_BYTES;
    if (entry + ENTRY_BYTES > size) return undefined;
    if (block.getUint16(entry, littleEndian) !== ORIENTATION_TAG) continue;
    const value = block.getUint16(entry + 8, littleEndian);
    if (block.getUint16(entry + 2, littleEndian) !== SHORT || value < 1 || value > 8) return undefined;
    return { orientation: value as ExifOrientation, offset: begin + entry + 8, littleEndian };
  }
  return undefined;
}

/** Bytes as text, one character a byte; shorter at the end of the file. */
export function asciiAt(bytes: Uint8Array, offset: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(offset, offset + length));
}
