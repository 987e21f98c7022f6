import { broken, truncated } from '../image-header.ts';
import type { RgbImage } from '../rgb-image.ts';
import { type PngColour, type PngParts, readPngParts } from './png-chunks.ts';

const CHANNELS: Readonly<Record<PngColour, number>> = { gray: 1, palette: 1, 'gray-alpha': 2, rgb: 3, 'rgb-alpha': 4 };

/** One pass over the picture: where it starts and its steps. A picture without interlacing has a single one. */
interface Pass {
  readonly left: number;
  readonly top: number;
  readonly stepX: number;
  readonly stepY: number;
}

const WHOLE: readonly Pass[] = [{ left: 0, top: 0, stepX: 1, stepY: 1 }];

/** The seven passes of interlace method 1. PNG specification, 8.1. */
const ADAM7: readonly Pass[] = [
  { left: 0, top: 0, stepX: 8, stepY: 8 },
  { left: 4, top: 0, stepX: 8, stepY: 8 },
  { left: 0, top: 4, stepX: 4, stepY: 8 },
  { left: 2, top: 0, stepX: 4, stepY: 4 },
  { left: 0, top: 2, stepX: 2, stepY: 4 },
  { left: 1, top: 0, stepX: 2, stepY: 2 },
  { left: 0, top: 1, stepX: 1, stepY: 2 },
];

/**
 * Decodes a PNG file of any kind as Pillow's `convert("RGB")` shows it: alpha, transparent colours, gamma and profiles
 * are left out; of 16-bit colour the high byte counts; 16-bit grey is clipped at 255, not scaled.
 *
 * @param bytes - The whole file; left alone.
 * @param where - Start of the message on failure.
 * @throws {ImageError} when the file is broken off or damaged.
 *
 * Source: PNG specification (W3C, third edition); Pillow `PngImagePlugin.py`, `Unpack.c`.
 */
export async function decodePng(bytes: Uint8Array, where: string): Promise<RgbImage> {
  const parts = readPngParts(bytes, where);
  const { width, height, depth, colour } = parts;
  const bitsPerPixel = depth * CHANNELS[colour];
  const passes = (parts.interlaced ? ADAM7 : WHOLE)
    .map((pass) => ({
      ...pass,
      columns: Math.ceil((width - pass.left) / pass.stepX),
      rows: Math.ceil((height - pass.top) / pass.stepY),
    }))
    .filter(({ columns, rows }) => columns > 0 && rows > 0);
  // Each row has one byte more: its filter.
  const sizes = passes.map(({ columns, rows }) => rows * (1 + Math.ceil((columns * bitsPerPixel) / 8)));
  const raw = await inflate(
    parts.data,
    sizes.reduce((sum, size) => sum + size, 0),
    where,
  );
  const data = new Uint8Array(width * height * 3);
  let at = 0;
  passes.forEach((pass, index) => {
    const rowBytes = sizes[index]! / pass.rows;
    const rows = raw.subarray(at, (at += sizes[index]!));
    unfilter(rows, rowBytes, Math.max(1, bitsPerPixel >> 3), where);
    const samples = new Uint8Array(pass.columns * CHANNELS[colour]);
    for (let row = 0; row < pass.rows; row++) {
      unpackSamples(rows.subarray(row * rowBytes + 1, (row + 1) * rowBytes), parts, samples);
      writeRow(samples, parts, data, ((pass.top + row * pass.stepY) * width + pass.left) * 3, pass.stepX * 3);
    }
  });
  return { width, height, data };
}

/** Inflates exactly `size` bytes and stops there: data that goes on and on costs nothing. */
async function inflate(parts: readonly Uint8Array[], size: number, where: string): Promise<Uint8Array> {
  const out = new Uint8Array(size);
  let filled = 0;
  const compressed = new Blob(parts as Uint8Array<ArrayBuffer>[]);
  const reader = compressed.stream().pipeThrough(new DecompressionStream('deflate')).getReader();
  let failure: unknown;
  try {
    while (filled < size) {
      const { done, value } = await reader.read();
      if (done) break;
      const piece = value.subarray(0, size - filled);
      out.set(piece, filled);
      filled += piece.length;
    }
  } catch (cause) {
    failure = cause;
  }
  void reader.cancel().catch(() => undefined); // the answer is known; how the rest ends does not matter
  if (filled === size) return out;
  throw truncated(where, 'PNG', `${filled} of ${size} bytes of its pixels can be read`, failure);
}

/**
 * Undoes the row filters in place. `distance` is how many bytes back the same sample of the pixel to the left is.
 * PNG specification, 9.2.
 */
function unfilter(rows: Uint8Array, rowBytes: number, distance: number, where: string): void {
  let above: Uint8Array = new Uint8Array(rowBytes);
  for (let at = 0; at < rows.length; at += rowBytes) {
    const row = rows.subarray(at, at + rowBytes);
    const filter = row[0]!;
    if (filter > 4) throw broken(where, 'PNG', `row filter ${filter} does not exist`);
    // Byte 0 is the filter; of the row above it must not count as a pixel.
    row[0] = 0;
    if (filter === 1) addLeft(row, distance);
    else if (filter === 2) addAbove(row, above);
    else if (filter === 3) addAverage(row, above, distance);
    else if (filter === 4) addPaeth(row, above, distance);
    above = row;
  }
}

function addLeft(row: Uint8Array, distance: number): void {
  for (let i = distance + 1; i < row.length; i++) row[i] = row[i]! + row[i - distance]!;
}

function addAbove(row: Uint8Array, above: Uint8Array): void {
  for (let i = 1; i < row.length; i++) row[i] = row[i]! + above[i]!;
}

function addAverage(row: Uint8Array, above: Uint8Array, distance: number): void {
  for (let i = 1; i < row.length; i++) {
    const left = i > distance ? row[i - distance]! : 0;
    row[i] = row[i]! + ((left + above[i]!) >> 1);
  }
}

/** Adds whichever of left, above and upper left is nearest to left + above − upper left; in that order when equal. */
function addPaeth(row: Uint8Array, above: Uint8Array, distance: number): void {
  for (let i = 1; i < row.length; i++) {
    const left = i > distance ? row[i - distance]! : 0;
    const corner = i > distance ? above[i - distance]! : 0;
    const up = above[i]!;
    const toLeft = Math.abs(up - corner);
    const toUp = Math.abs(left - corner);
    const toCorner = Math.abs(left + up - 2 * corner);
    row[i] = row[i]! + (toLeft <= toUp && toLeft <= toCorner ? left : toUp <= toCorner ? up : corner);
  }
}

/** One row's samples in 8 bits; palette indices as they are. */
function unpackSamples(row: Uint8Array, { depth, colour }: PngParts, samples: Uint8Array): void {
  if (depth === 8) {
    samples.set(row);
  } else if (depth === 16) {
    // Pillow reads 16-bit grey into a 16-bit image and clips it on the way to RGB; all other 16-bit kinds lose the low byte.
    const clips = colour === 'gray';
    for (let i = 0; i < samples.length; i++) samples[i] = clips && row[2 * i]! > 0 ? 255 : row[2 * i + (clips ? 1 : 0)]!;
  } else {
    const largest = (1 << depth) - 1;
    const scale = colour === 'palette' ? 1 : 255 / largest; // 255, 85, 17: exact
    for (let i = 0, bit = 0; i < samples.length; i++, bit += depth) {
      samples[i] = ((row[bit >> 3]! >> (8 - depth - (bit & 7))) & largest) * scale;
    }
  }
}

/** Writes a row's pixels as RGB from byte `to` on, `step` bytes apart. Palette indices without an entry are black. */
function writeRow(samples: Uint8Array, { colour, palette }: PngParts, data: Uint8Array, to: number, step: number): void {
  const channels = CHANNELS[colour];
  const isGray = colour === 'gray' || colour === 'gray-alpha';
  for (let from = 0, at = to; from < samples.length; from += channels, at += step) {
    if (palette !== undefined && colour === 'palette') {
      const entry = samples[from]! * 3;
      data[at] = palette[entry] ?? 0;
      data[at + 1] = palette[entry + 1] ?? 0;
      data[at + 2] = palette[entry + 2] ?? 0;
    } else {
      data[at] = samples[from]!;
      data[at + 1] = samples[isGray ? from : from + 1]!;
      data[at + 2] = samples[isGray ? from : from + 2]!;
    }
  }
}
