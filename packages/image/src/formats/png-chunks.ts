import { broken, type ImageHeader, truncated } from '../image-header.ts';
import type { ImageSize } from '../rgb-image.ts';
import { asciiAt, type ExifTag, findExifOrientation } from './exif.ts';

/** What one PNG pixel is made of. PNG specification, 11.2.1. */
export type PngColour = 'gray' | 'rgb' | 'palette' | 'gray-alpha' | 'rgb-alpha';

/** The parts of a PNG file that its pixels come from. */
export interface PngParts extends ImageSize {
  /** Bits of one sample. */
  readonly depth: 1 | 2 | 4 | 8 | 16;
  readonly colour: PngColour;
  readonly interlaced: boolean;
  /** RGB triples. */
  readonly palette: Uint8Array | undefined;
  /** The compressed data, in pieces. */
  readonly data: readonly Uint8Array[];
}

interface Chunk {
  readonly type: string;
  readonly start: number;
  readonly length: number;
}

const SIGNATURE_BYTES = 8;

const COLOURS: Readonly<Record<number, { readonly colour: PngColour; readonly depths: readonly number[] }>> = {
  0: { colour: 'gray', depths: [1, 2, 4, 8, 16] },
  2: { colour: 'rgb', depths: [8, 16] },
  3: { colour: 'palette', depths: [1, 2, 4, 8] },
  4: { colour: 'gray-alpha', depths: [8, 16] },
  6: { colour: 'rgb-alpha', depths: [8, 16] },
};

/** Size and orientation of a PNG file. @throws {RangeError} when the file ends within its first chunk. */
export function readPngHeader(bytes: Uint8Array, view: DataView): ImageHeader | undefined {
  if (asciiAt(bytes, SIGNATURE_BYTES + 4, 4) !== 'IHDR') return undefined;
  const start = SIGNATURE_BYTES + 8;
  let exif: ExifTag | undefined;
  for (const chunk of chunks(bytes, view)) {
    if (chunk.type === 'eXIf') exif ??= findExifOrientation(bytes, chunk.start, chunk.length);
  }
  return {
    format: 'PNG',
    width: view.getUint32(start),
    height: view.getUint32(start + 4),
    isGray16: view.getUint8(start + 8) === 16 && view.getUint8(start + 9) === 0,
    orientation: exif?.orientation ?? 1,
    exif,
  };
}

/**
 * Takes a PNG file apart and checks what it says of itself. Check sums count in every chunk but the pixel data, which
 * have one of their own.
 *
 * @throws {ImageError} naming what is wrong.
 *
 * Source: PNG specification (W3C, third edition), 5.3 and 11.2.
 */
export function readPngParts(bytes: Uint8Array, where: string): PngParts {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data: Uint8Array[] = [];
  let header: Omit<PngParts, 'palette' | 'data'> | undefined;
  let palette: Uint8Array | undefined;
  for (const { type, start, length } of chunks(bytes, view)) {
    const content = bytes.subarray(start, start + length);
    if (type === 'IDAT') {
      data.push(content);
      continue;
    }
    if (start + length + 4 > bytes.length) {
      if (data.length > 0) break; // nothing after the pixels is needed
      if (!/^[A-Za-z]{4}$/.test(type)) throw broken(where, 'PNG', 'it has a chunk whose name is not four letters');
      throw truncated(where, 'PNG', `it ends within its ${type} chunk`);
    }
    if (checkSum(bytes.subarray(start - 4, start + length)) !== view.getUint32(start + length)) {
      throw broken(where, 'PNG', `the check sum of its ${type} chunk is wrong`);
    }
    if (type === 'IHDR') header = parseHeader(view, start, where);
    if (type === 'PLTE') palette = content;
    if (type === 'IEND') break;
  }
  if (header === undefined) throw broken(where, 'PNG', 'it has no IHDR chunk');
  if (header.colour === 'palette' && palette === undefined) throw broken(where, 'PNG', 'its palette is missing');
  if (data.length === 0) throw truncated(where, 'PNG', 'it ends before its pixels');
  return { ...header, palette, data };
}

function parseHeader(view: DataView, start: number, where: string): Omit<PngParts, 'palette' | 'data'> {
  const [depth, colourType, compression, filter, interlace] = [8, 9, 10, 11, 12].map((at) => view.getUint8(start + at));
  const kind = COLOURS[colourType!];
  if (kind === undefined || !kind.depths.includes(depth!)) {
    throw broken(where, 'PNG', `it has ${depth} bits of colour type ${colourType}, which PNG does not have`);
  }
  if (compression !== 0 || filter !== 0 || interlace! > 1) {
    throw broken(
      where,
      'PNG',
      `it has compression ${compression}, filter ${filter}, interlace ${interlace}, which PNG does not have`,
    );
  }
  return {
    width: view.getUint32(start),
    height: view.getUint32(start + 4),
    depth: depth as PngParts['depth'],
    colour: kind.colour,
    interlaced: interlace === 1,
  };
}

/** Every chunk whose eight first bytes are there; the last one may be cut. */
function* chunks(bytes: Uint8Array, view: DataView): Generator<Chunk> {
  for (let at = SIGNATURE_BYTES; at + 8 <= bytes.length;) {
    const length = view.getUint32(at);
    yield { type: asciiAt(bytes, at + 4, 4), start: at + 8, length };
    at += 12 + length;
  }
}

/** CRC-32 of ISO 3309, one table entry a byte. */
const CRC_TABLE: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function checkSum(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
