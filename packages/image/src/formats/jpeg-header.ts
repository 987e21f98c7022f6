import type { ImageHeader } from '../image-header.ts';
import { type ExifTag, findExifOrientation } from './exif.ts';

const START_OF_SCAN = 0xda;
const END_OF_IMAGE = 0xd9;
const APP1 = 0xe1;

/** SOF0–SOF15, less the numbers that mean other things: DHT (C4), JPG (C8), DAC (CC). */
function isStartOfFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

/** TEM, RST0–RST7 and SOI stand alone, without a length. */
function standsAlone(marker: number): boolean {
  return marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
}

/**
 * Size, components and orientation of a JPEG file.
 *
 * @throws {RangeError} when the file ends first.
 * @returns `undefined` when the scan starts before any frame header.
 *
 * Source: ITU-T T.81, annex B.
 */
export function readJpegHeader(bytes: Uint8Array, view: DataView): ImageHeader | undefined {
  let frame: { width: number; height: number; components: number } | undefined;
  let exif: ExifTag | undefined;
  let at = 2; // after SOI
  for (;;) {
    while (view.getUint8(at) !== 0xff) at++; // stray bytes between segments are skipped, as libjpeg does
    while (view.getUint8(at) === 0xff) at++;
    const marker = view.getUint8(at++);
    if (marker === START_OF_SCAN || marker === END_OF_IMAGE) break;
    if (marker === 0 || standsAlone(marker)) continue;
    const length = view.getUint16(at);
    if (isStartOfFrame(marker)) {
      frame = { height: view.getUint16(at + 3), width: view.getUint16(at + 5), components: view.getUint8(at + 7) };
    } else if (marker === APP1) {
      exif ??= findExifOrientation(bytes, at + 2, length - 2);
    }
    at += Math.max(2, length);
  }
  return frame === undefined ? undefined : { format: 'JPEG', ...frame, orientation: exif?.orientation ?? 1, exif };
}
