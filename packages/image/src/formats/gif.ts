import { broken, type ImageHeader } from '../image-header.ts';
import type { RgbImage } from '../rgb-image.ts';
import { decodeLzw } from './lzw.ts';

/** The first frame of a GIF file and the canvas it lies on. */
interface GifFrame {
  /** The canvas, grown to hold the frame, as Pillow grows it. */
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly top: number;
  readonly columns: number;
  readonly rows: number;
  readonly interlaced: boolean;
  /** RGB triples; `undefined` for a file without any: indices are grey levels then. */
  readonly palette: Uint8Array | undefined;
  readonly transparentIndex: number | undefined;
  /** Offset of the LZW code size, which the data blocks follow. */
  readonly dataOffset: number;
}

const EXTENSION = 0x21;
const IMAGE = 0x2c;
const GRAPHIC_CONTROL = 0xf9;

/** First row and step of the four passes of an interlaced frame. GIF89a, appendix E. */
const INTERLACE_PASSES = [
  [0, 8],
  [4, 8],
  [2, 4],
  [1, 2],
] as const;

/** Size of a GIF file: of the canvas, or larger where the first frame reaches over it. @throws {RangeError} */
export function readGifHeader(bytes: Uint8Array, view: DataView): ImageHeader | undefined {
  const frame = findFirstFrame(bytes, view);
  return frame === undefined ? undefined : { format: 'GIF', width: frame.width, height: frame.height, orientation: 1 };
}

/**
 * Decodes the first frame of a GIF file as Pillow's `convert("RGB")` shows it: transparent pixels have the colour that the
 * palette gives their index, and what the frame leaves open of the canvas has the transparent index, or index 0.
 *
 * @param bytes - The whole file; left alone.
 * @param where - Start of the message on failure.
 * @throws {ImageError} when the file is broken off or damaged.
 *
 * Source: GIF89a specification; Pillow `GifImagePlugin.py`.
 */
export function decodeGif(bytes: Uint8Array, where: string): RgbImage {
  const frame = findFirstFrame(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  if (frame === undefined) throw broken(where, 'GIF', 'it has no frame');
  const { width, height, columns, rows } = frame;
  if (rows === 0 || columns === 0) throw broken(where, 'GIF', `its first frame is ${columns}×${rows} pixels`);
  const indices = decodeLzw(bytes, frame.dataOffset, rows * columns, where);
  const canvas = new Uint8Array(width * height).fill(frame.transparentIndex ?? 0);
  rowOrder(frame).forEach((y, row) => {
    canvas.set(indices.subarray(row * columns, (row + 1) * columns), (frame.top + y) * width + frame.left);
  });
  return { width, height, data: colour(canvas, frame.palette) };
}

/** @returns `undefined` when the file ends properly without a frame. @throws {RangeError} when it breaks off. */
function findFirstFrame(bytes: Uint8Array, view: DataView): GifFrame | undefined {
  const flags = view.getUint8(10);
  const globalPalette = readPalette(bytes, 13, flags);
  let at = 13 + (globalPalette?.length ?? 0);
  let transparentIndex: number | undefined;
  for (;;) {
    const kind = view.getUint8(at++);
    if (kind === EXTENSION) {
      const isGraphicControl = view.getUint8(at) === GRAPHIC_CONTROL && view.getUint8(at + 1) >= 4;
      if (isGraphicControl && (view.getUint8(at + 2) & 1) === 1) transparentIndex = view.getUint8(at + 5);
      at++;
      while (view.getUint8(at) > 0) at += 1 + view.getUint8(at);
      at++;
    } else if (kind === IMAGE) {
      const [left, top, columns, rows] = [0, 2, 4, 6].map((offset) => view.getUint16(at + offset, true)) as Quadruple;
      const frameFlags = view.getUint8(at + 8);
      const localPalette = readPalette(bytes, at + 9, frameFlags);
      return {
        width: Math.max(view.getUint16(6, true), left + columns),
        height: Math.max(view.getUint16(8, true), top + rows),
        left,
        top,
        columns,
        rows,
        transparentIndex,
        interlaced: (frameFlags & 0x40) !== 0,
        palette: localPalette ?? globalPalette,
        dataOffset: at + 9 + (localPalette?.length ?? 0),
      };
    } else if (kind !== 0) {
      return undefined; // the trailer, or rubbish
    }
  }
}

type Quadruple = [number, number, number, number];

function readPalette(bytes: Uint8Array, at: number, flags: number): Uint8Array | undefined {
  return (flags & 0x80) === 0 ? undefined : bytes.subarray(at, at + 3 * 2 ** ((flags & 7) + 1));
}

/** Which row of the frame each stored row is. */
function rowOrder({ rows, interlaced }: GifFrame): number[] {
  const inOrder = Array.from({ length: rows }, (_, row) => row);
  if (!interlaced) return inOrder;
  return INTERLACE_PASSES.flatMap(([first, step]) => inOrder.filter((row) => row >= first && (row - first) % step === 0));
}

/** Indices outside the palette are black, as in Pillow. */
function colour(indices: Uint8Array, palette: Uint8Array | undefined): Uint8Array {
  const table = new Uint8Array(256 * 3);
  if (palette === undefined) table.forEach((_, i) => (table[i] = Math.floor(i / 3)));
  else table.set(palette);
  const data = new Uint8Array(indices.length * 3);
  for (let i = 0; i < indices.length; i++) {
    const from = indices[i]! * 3;
    data[i * 3] = table[from]!;
    data[i * 3 + 1] = table[from + 1]!;
    data[i * 3 + 2] = table[from + 2]!;
  }
  return data;
}
