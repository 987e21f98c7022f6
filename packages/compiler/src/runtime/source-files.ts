import { createHash } from 'node:crypto';
import { open, realpath, stat } from 'node:fs/promises';
import { DTYPE_BYTES, type RunOptions, ShapeError, sizeOf, type Weight } from '@blip2/core';

/** A checkpoint's file on this machine. */
export interface SourceFile {
  /** With links resolved. */
  readonly path: string;
  /** Changes when the file is replaced or written to. */
  readonly identity: string;
}

/**
 * The files on this machine that weights lie in, each looked at once.
 *
 * `Weight.location` may also name an address, or something in memory; such weights are read through {@link Weight.read} like
 * computed ones. Whether a file of that name really is the source is seen by comparing a few values.
 */
export class SourceFiles {
  readonly #files: Map<string, Promise<SourceFile | undefined>> = new Map();

  /** @returns the file that the weight lies in, or `undefined` for a weight that lies in none. */
  of(weight: Weight, options: Pick<RunOptions, 'abortSignal'> = {}): Promise<SourceFile | undefined> {
    const { location } = weight;
    if (location === undefined) return Promise.resolve(undefined);
    let file = this.#files.get(location.file);
    if (file === undefined) {
      file = findSource(weight, options);
      file.catch(() => this.#files.delete(location.file));
      this.#files.set(location.file, file);
    }
    return file;
  }
}

async function findSource(weight: Weight, options: Pick<RunOptions, 'abortSignal'>): Promise<SourceFile | undefined> {
  const path = await realpath(weight.location!.file).catch(() => undefined);
  const stats = path === undefined ? undefined : await stat(path, { bigint: true }).catch(() => undefined);
  if (path === undefined || !stats?.isFile() || !(await holdsValues(path, weight, options))) return undefined;
  const parts = [path, stats.size, stats.mtimeNs];
  return { path, identity: createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 32) };
}

/** How many values are compared. */
const SAMPLE = 256;

async function holdsValues(path: string, weight: Weight, options: Pick<RunOptions, 'abortSignal'>): Promise<boolean> {
  const values = (await sampleOf(weight).read(options)).subarray(0, SAMPLE);
  const bytes = new Uint8Array(values.length * DTYPE_BYTES[weight.dtype]);
  const handle = await open(path, 'r').catch(() => undefined);
  if (handle === undefined) return false;
  try {
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, weight.location!.byteOffset);
    if (bytesRead !== bytes.length) return false;
  } finally {
    await handle.close();
  }
  const stored = new DataView(bytes.buffer);
  const decode = DECODERS[weight.dtype];
  return values.every((value, index) => Object.is(Math.fround(value), Math.fround(decode(stored, index))));
}

/** A row, where the weight can give one; a weight that was reshaped cannot. */
function sampleOf(weight: Weight): Weight {
  if (sizeOf(weight.shape) <= SAMPLE || weight.shape[0]! < 2) return weight;
  try {
    return weight.rows(0, 1);
  } catch (cause) {
    if (ShapeError.isInstance(cause)) return weight;
    throw cause;
  }
}

/** One value of each format. */
const DECODERS: Readonly<Record<Weight['dtype'], (view: DataView, index: number) => number>> = {
  F64: (view, index) => view.getFloat64(8 * index, true),
  F32: (view, index) => view.getFloat32(4 * index, true),
  F16: (view, index) => half(view.getUint16(2 * index, true)),
  BF16: (view, index) => brainFloat(view.getUint16(2 * index, true)),
  I64: (view, index) => Number(view.getBigInt64(8 * index, true)),
  I32: (view, index) => view.getInt32(4 * index, true),
  I16: (view, index) => view.getInt16(2 * index, true),
  I8: (view, index) => view.getInt8(index),
  U8: (view, index) => view.getUint8(index),
  BOOL: (view, index) => view.getUint8(index),
};

function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

function brainFloat(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;
}
