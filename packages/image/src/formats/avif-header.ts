import type { ImageHeader } from '../image-header.ts';
import type { ExifOrientation } from '../rgb-image.ts';
import { asciiAt } from './exif.ts';

interface Box {
  readonly type: string;
  /** Of the content, after the box header. */
  readonly start: number;
  readonly end: number;
}

/** `ftyp` brands of AVIF files: still pictures and sequences. */
export function isAvif(bytes: Uint8Array): boolean {
  if (asciiAt(bytes, 4, 4) !== 'ftyp') return false;
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  return /avi[fs]/.test(asciiAt(bytes, 8, Math.min(length, 256) - 8));
}

/**
 * Size and orientation of the primary item of an AVIF file. Its orientation is the `irot` and `imir` properties, which
 * every decoder applies by itself; EXIF does not count.
 *
 * @throws {RangeError} when the file ends first.
 * @returns `undefined` when a box that every AVIF file has is missing.
 *
 * Source: ISO/IEC 23008-12, sections 6.5.3, 6.5.10, 6.5.12, 9.3; MIAF order: rotation, then mirror.
 */
export function readAvifHeader(bytes: Uint8Array, view: DataView): ImageHeader | undefined {
  const meta = find(boxes(bytes, view, 0, bytes.length), 'meta');
  if (meta === undefined) return undefined;
  const inMeta = [...boxes(bytes, view, meta.start + 4, meta.end)]; // a full box: version and flags first
  const item = find(inMeta, 'pitm');
  const properties = find(inMeta, 'iprp');
  if (item === undefined || properties === undefined) return undefined;
  const inProperties = [...boxes(bytes, view, properties.start, properties.end)];
  const container = find(inProperties, 'ipco');
  const associations = find(inProperties, 'ipma');
  if (container === undefined || associations === undefined) return undefined;
  const primary = view.getUint8(item.start) === 0 ? view.getUint16(item.start + 4) : view.getUint32(item.start + 4);
  const all = [...boxes(bytes, view, container.start, container.end)];
  const own = associatedProperties(view, associations, primary).map((index) => all[index - 1]);
  const extent = find(own, 'ispe');
  if (extent === undefined) return undefined;
  const rotation = find(own, 'irot');
  const mirror = find(own, 'imir');
  return {
    format: 'AVIF',
    width: view.getUint32(extent.start + 4),
    height: view.getUint32(extent.start + 8),
    orientation: orientationOf(
      rotation === undefined ? 0 : view.getUint8(rotation.start) & 3,
      mirror === undefined ? undefined : view.getUint8(mirror.start) & 1,
    ),
    turnedByDecoder: true,
  };
}

/** Quarter turns against the clock, then a mirror: 0 swaps top and bottom, 1 left and right. */
function orientationOf(quarterTurns: number, mirror: number | undefined): ExifOrientation {
  const table = { none: [1, 8, 3, 6], 0: [4, 5, 2, 7], 1: [2, 7, 4, 5] } as const;
  return table[mirror === undefined ? 'none' : (mirror as 0 | 1)][quarterTurns]!;
}

function* boxes(bytes: Uint8Array, view: DataView, begin: number, end: number): Generator<Box> {
  for (let at = begin; at + 8 <= end;) {
    const short = view.getUint32(at);
    // Size 1: 64 bits follow the type. Size 0: to the end.
    const header = short === 1 ? 16 : 8;
    const size = short === 1 ? Number(view.getBigUint64(at + 8)) : short === 0 ? end - at : short;
    if (size < header) return;
    yield { type: asciiAt(bytes, at + 4, 4), start: at + header, end: Math.min(end, at + size) };
    at += size;
  }
}

function find(list: Iterable<Box | undefined>, type: string): Box | undefined {
  for (const box of list) if (box?.type === type) return box;
  return undefined;
}

/** Numbers, from 1, of the properties in `ipco` that belong to an item. */
function associatedProperties(view: DataView, ipma: Box, item: number): number[] {
  const version = view.getUint8(ipma.start);
  const wideIndices = (view.getUint8(ipma.start + 3) & 1) === 1;
  const entries = view.getUint32(ipma.start + 4);
  let at = ipma.start + 8;
  for (let entry = 0; entry < entries; entry++) {
    const id = version === 0 ? view.getUint16(at) : view.getUint32(at);
    at += version === 0 ? 2 : 4;
    const count = view.getUint8(at++);
    const width = wideIndices ? 2 : 1;
    if (id === item) {
      // The top bit says that the property is essential.
      return Array.from({ length: count }, (_, i) =>
        wideIndices ? view.getUint16(at + i * 2) & 0x7fff : view.getUint8(at + i) & 0x7f,
      );
    }
    at += count * width;
  }
  return [];
}
