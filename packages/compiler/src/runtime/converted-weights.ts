import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ResourceError, type RunOptions, type WeightLocation } from '@blip2/core';
import type { OnnxType } from '../onnx/graph.ts';

/** A part of a converted weight and where it lies. */
export interface ConvertedPlace {
  readonly type: OnnxType;
  readonly shape: readonly number[];
  readonly location: WeightLocation;
}

/** A part of a converted weight, before it is stored. */
export interface ConvertedBytes {
  readonly type: OnnxType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A weight to convert. */
export interface Conversion {
  /** Says everything that the result depends on besides the group. */
  readonly key: string;
  convert(): Promise<readonly ConvertedBytes[]>;
}

/** Parts begin at pages, which is what ONNX Runtime asks of data that it maps. Source: onnx.proto3, `external_data`. */
const PAGE = 4096;

/** Part of every path: another version of this package finds nothing of what it could not read, or would convert otherwise. */
const FORMAT = 'weights-1';

/** What nobody used for so long is removed when something is written. */
const MAX_IDLE_MS = 30 * 24 * 3600_000;

/** The same for files that were never finished. */
const MAX_UNFINISHED_MS = 24 * 3600_000;

/** A pack's index, as stored; `entries` has the parts of each key. */
interface PackIndex {
  readonly bytes: number;
  readonly sha256: string;
  readonly entries: Readonly<Record<string, readonly StoredPart[]>>;
}

interface StoredPart {
  readonly type: OnnxType;
  readonly shape: readonly number[];
  readonly byteOffset: number;
  readonly byteLength: number;
}

/**
 * Converted weights on disk, so that a second program converts nothing and several graphs map the same pages:
 *
 * ```
 * <cache>/weights-1/<group>.<pack>.bin    parts of weights, each at a multiple of 4096
 *                  /<group>.<pack>.json   which, where, and how large the pack is
 *                  /.<group>.<pack>.<id>.tmp   being written
 * ```
 *
 * A group belongs to one file of a checkpoint as it is now; a pack has the weights that one call missed. A pack is written
 * under another name, flushed, and renamed, its index last, so it is there whole or not at all. Two programs that convert at once both do
 * the work and write the same bytes. A pack whose size or index is not as it was written counts as missing and is written again.
 * Packs that nobody used for 30 days are removed.
 */
export class ConvertedWeights {
  readonly #folder: string;

  /** @param cacheFolder - Made when needed. */
  constructor(cacheFolder: string) {
    this.#folder = join(cacheFolder, FORMAT);
  }

  /**
   * Where converted weights lie; converts those that were not before, one at a time.
   *
   * @param group - Letters, digits and `-`.
   * @param onConverted - Told the bytes of each weight that was converted.
   * @returns the parts of each key.
   * @throws {ResourceError} when the cache cannot be written.
   */
  async place(
    group: string,
    conversions: readonly Conversion[],
    options: Pick<RunOptions, 'abortSignal'> & { onConverted?: (key: string, bytes: number) => void } = {},
  ): Promise<ReadonlyMap<string, readonly ConvertedPlace[]>> {
    const places = await readPacks(this.#folder, group, new Set(conversions.map(({ key }) => key)));
    const missing = new Map(conversions.filter(({ key }) => !places.has(key)).map((one) => [one.key, one]));
    if (missing.size === 0) return places;
    try {
      await mkdir(this.#folder, { recursive: true });
      await removeIdle(this.#folder);
      const written = await writePack(this.#folder, group, [...missing.values()], options);
      for (const [key, parts] of written) places.set(key, parts);
    } catch (cause) {
      throw cacheProblem(cause, this.#folder);
    }
    return places;
  }
}

async function removeIdle(folder: string): Promise<void> {
  for (const file of await readdir(folder).catch(() => [])) {
    const path = join(folder, file);
    const limit = file.endsWith('.tmp') ? MAX_UNFINISHED_MS : MAX_IDLE_MS;
    const stats = await stat(path).catch(() => undefined);
    // Where a file that is in use cannot be removed, it stays.
    if (stats !== undefined && Date.now() - stats.mtimeMs > limit) await rm(path, { force: true }).catch(() => undefined);
  }
}

/** All whole packs of a group that have any of the keys, marked as used. */
async function readPacks(
  folder: string,
  group: string,
  wanted: ReadonlySet<string>,
): Promise<Map<string, readonly ConvertedPlace[]>> {
  const places = new Map<string, readonly ConvertedPlace[]>();
  const files = await readdir(folder).catch(() => []);
  const indexFiles = files.filter((file) => file.startsWith(`${group}.`) && file.endsWith('.json')).toSorted();
  for (const indexFile of indexFiles) {
    const index = parseIndex(await readFile(join(folder, indexFile), 'utf8').catch(() => ''));
    const file = join(folder, indexFile.replace(/json$/, 'bin'));
    const stats = index === undefined ? undefined : await stat(file).catch(() => undefined);
    if (index === undefined || stats?.size !== index.bytes) continue;
    const keys = Object.keys(index.entries).filter((key) => wanted.has(key) && !places.has(key));
    for (const key of keys) places.set(key, placesOf(index.entries[key]!, file));
    if (keys.length > 0) await markUsed([file, join(folder, indexFile)]);
  }
  return places;
}

function placesOf(parts: readonly StoredPart[], file: string): ConvertedPlace[] {
  return parts.map(({ type, shape, byteOffset, byteLength }) => ({ type, shape, location: { file, byteOffset, byteLength } }));
}

/** A cache that can only be read works as well; what is in it then counts as unused. */
async function markUsed(files: readonly string[]): Promise<void> {
  const now = new Date();
  for (const file of files) await utimes(file, now, now).catch(() => undefined);
}

async function writePack(
  folder: string,
  group: string,
  conversions: readonly Conversion[],
  { abortSignal, onConverted }: Pick<RunOptions, 'abortSignal'> & { onConverted?: (key: string, bytes: number) => void },
): Promise<ReadonlyMap<string, readonly ConvertedPlace[]>> {
  // In one order, so that every program writes the same bytes under the same name.
  const sorted = conversions.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const name = `${group}.${sha256(JSON.stringify(sorted.map(({ key }) => key))).slice(0, 32)}`;
  const file = join(folder, `${name}.bin`);
  const entries: Record<string, readonly StoredPart[]> = {};
  const temporary = join(folder, `.${name}.${randomUUID().slice(0, 8)}.tmp`);
  let end = 0;
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, 'wx');
    for (const { key, convert } of sorted) {
      abortSignal?.throwIfAborted();
      const stored: StoredPart[] = [];
      for (const { type, shape, bytes } of await convert()) {
        const byteOffset = PAGE * Math.ceil(end / PAGE);
        abortSignal?.throwIfAborted();
        await writeFully(handle, bytes, byteOffset);
        stored.push({ type, shape, byteOffset, byteLength: bytes.length });
        end = byteOffset + bytes.length;
        onConverted?.(key, bytes.length);
      }
      entries[key] = stored;
    }
    await handle.sync();
    await handle.close();
    handle = undefined;
    await rename(temporary, file);
    await writeFile(temporary, encodeIndex(end, entries), { flush: true });
    await rename(temporary, join(folder, `${name}.json`));
  } catch (cause) {
    await handle?.close().catch(() => undefined);
    await rm(temporary, { force: true }).catch(() => undefined);
    throw cause;
  }
  return new Map(Object.entries(entries).map(([key, parts]) => [key, placesOf(parts, file)]));
}

async function writeFully(handle: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) done += (await handle.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
}

function encodeIndex(bytes: number, entries: PackIndex['entries']): string {
  const index: PackIndex = { bytes, sha256: sha256(JSON.stringify([bytes, entries])), entries };
  return JSON.stringify(index);
}

/** @returns `undefined` for anything but what {@link encodeIndex} wrote. */
function parseIndex(text: string): PackIndex | undefined {
  try {
    const index = JSON.parse(text) as PackIndex;
    return index.sha256 === sha256(JSON.stringify([index.bytes, index.entries])) ? index : undefined;
  } catch {
    return undefined;
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** A system error of the cache as a `ResourceError` that says what to do; everything else as it is. */
function cacheProblem(cause: unknown, folder: string): unknown {
  const code = cause instanceof Error ? (cause as NodeJS.ErrnoException).code : undefined;
  const problem =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? 'the disk is full'
      : ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST'].includes(code ?? '')
        ? 'the folder cannot be written'
        : undefined;
  // An error of the checkpoint that is read carries a code of the system too, but as its cause.
  if (problem === undefined) return cause;
  return new ResourceError(
    `Converted weights cannot be kept in ${folder}: ${problem} (${code}), expected a writable folder with room for them. Free some space, or ` +
      'name another folder in BLIP2_CACHE or the option cacheFolder.',
    { cause },
  );
}
