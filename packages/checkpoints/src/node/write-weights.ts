import { mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  CheckpointError,
  InputError,
  listSome,
  ProgressReporter,
  type RunOptions,
  type Weight,
  type WeightDtype,
} from '@blip2/core';
import { INDEX_FILE, WEIGHTS_FILE } from '../checkpoint/weight-files.ts';
import {
  assertFilled,
  layOutSafetensors,
  naturalDtype,
  storedBytes,
  type SafetensorsLayout,
  type TensorData,
  type TensorDescription,
} from '../safetensors/encode-safetensors.ts';
import { encodeValues, isFloatDtype } from '../safetensors/values.ts';
import type { ReadOptions } from '../bytes/byte-source.ts';
import { syncFolder, writePending, type PendingFile } from './atomic-write.ts';
import { fileProblem } from './file-problem.ts';

/** A tensor in memory with its name. */
export interface NamedTensorData extends TensorData {
  readonly name: string;
}

/** What the writers take: weights of any origin, read one at a time, and tensors in memory. */
export type TensorToStore = Weight | NamedTensorData;

/** How weights are stored. */
export interface WriteOptions extends RunOptions {
  /** Format of the float weights in the file; integers keep theirs. @default each weight's own */
  readonly dtype?: 'F32' | 'F16' | 'BF16' | ((tensor: TensorToStore) => WeightDtype);
  /** The header's `__metadata__`. @default { format: 'pt' } */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** How a model folder is written. */
export interface WriteFolderOptions extends WriteOptions {
  /**
   * No file of weights gets larger, unless a single tensor is.
   * @default 5 GB, as `save_pretrained` of transformers
   */
  readonly maxShardBytes?: number;
  /** Replace weights that are in the folder. @default false */
  readonly overwrite?: boolean;
}

/** Large tensors are converted and written in pieces of this many elements. */
const PIECE_LENGTH = 4 * 1024 * 1024;

/**
 * Writes one safetensors file. One weight at a time is in memory. The file appears under its name when it is
 * complete and on the disk; until then, and after an error or an abort, what was there before stays.
 *
 * @param tensors - Weights of another checkpoint, renamed or sliced, and tensors in memory.
 * @throws {ResourceError} when the disk is full.
 * @throws {CheckpointError} when the place cannot be written or a weight cannot be read.
 *
 * @example
 * await writeSafetensorsFile('bridge.safetensors', [{ name: 'query_tokens', shape: [1, 32, 768], values }], { dtype: 'F16' });
 */
export async function writeSafetensorsFile(
  path: string,
  tensors: Iterable<TensorToStore>,
  options: WriteOptions = {},
): Promise<void> {
  const layout = layOutSafetensors(storedTensors(tensors, options), options.metadata);
  const progress = new ProgressReporter('run', layout.sizeBytes, options.onProgress);
  const pending = await writeLayout(path, layout, progress, options);
  await pending.commit();
  await syncFolder(dirname(path));
  progress.complete(path);
}

/**
 * Writes the weights of a model folder in the Hub's layout: `model.safetensors`, or several files and
 * `model.safetensors.index.json`. The folder is made if needed. All files are written under temporary names first and
 * renamed at the end, the index last; an error or an abort before that leaves the folder as it was.
 *
 * @returns the names of the files, index included.
 * @throws {CheckpointError} when the folder has weights and `overwrite` is not set.
 * @throws {ResourceError} when the disk is full.
 *
 * Source: `huggingface_hub.save_torch_state_dict`, file names and index.
 */
export async function writeWeights(
  folder: string,
  tensors: Iterable<TensorToStore>,
  options: WriteFolderOptions = {},
): Promise<string[]> {
  return writeStoredTensors(folder, storedTensors(tensors, options), options);
}

/** {@link writeWeights} for tensors whose values are made when their turn comes; within a shard those of one alignment keep their order. */
export async function writeStoredTensors(
  folder: string,
  stored: readonly StoredTensor[],
  options: Omit<WriteFolderOptions, 'dtype'>,
): Promise<string[]> {
  const { maxShardBytes = 5e9, overwrite = false, metadata } = options;
  if (!(maxShardBytes > 0))
    throw new InputError(`writeWeights: maxShardBytes is ${maxShardBytes}, expected a positive number of bytes.`);
  layOutSafetensors(stored, metadata); // refuses a name that comes twice, also across shards
  const old = await weightFilesIn(folder);
  if (old.length > 0 && !overwrite) {
    throw new CheckpointError(
      `${folder}: already holds weights (${listSome(old)}). Choose an empty folder, or pass overwrite: true to replace them.`,
      folder,
    );
  }
  const shards = splitIntoShards(stored, maxShardBytes);
  const names = shards.map((_, index) => shardName(index, shards.length));
  const layouts = shards.map((shard) => layOutSafetensors(shard, metadata));
  const totalBytes = layouts.reduce((sum, layout) => sum + layout.sizeBytes, 0);
  const progress = new ProgressReporter('run', totalBytes, options.onProgress);
  const pending: PendingFile[] = [];
  try {
    for (const [index, layout] of layouts.entries()) {
      pending.push(await writeLayout(join(folder, names[index]!), layout, progress, options));
    }
    if (shards.length > 1) pending.push(await writeIndex(join(folder, INDEX_FILE), shards, names));
    // Without its index an old set of shards is not read, so a crash between two renames cannot mix old and new.
    if (old.includes(INDEX_FILE)) await rm(join(folder, INDEX_FILE), { force: true });
    for (const file of pending) await file.commit();
  } catch (cause) {
    await Promise.all(pending.map((file) => file.discard()));
    throw cause;
  }
  const written = shards.length > 1 ? [...names, INDEX_FILE] : names;
  for (const name of old) if (!written.includes(name)) await rm(join(folder, name), { force: true });
  await syncFolder(folder);
  progress.complete(folder);
  return written;
}

/** A tensor as it will be in the file, and where its values come from. */
export interface StoredTensor extends TensorDescription {
  readonly read: (options: ReadOptions) => Promise<ArrayLike<number>>;
}

function storedTensors(tensors: Iterable<TensorToStore>, { dtype }: WriteOptions): StoredTensor[] {
  return Array.from(tensors, (tensor) => {
    const own = 'values' in tensor ? (tensor.dtype ?? naturalDtype(tensor.values)) : tensor.dtype;
    const wanted = typeof dtype === 'function' ? dtype(tensor) : dtype !== undefined && isFloatDtype(own) ? dtype : own;
    const { name, shape } = tensor;
    const read = async (options: ReadOptions): Promise<ArrayLike<number>> =>
      'values' in tensor ? tensor.values : tensor.read(options);
    return { name, dtype: wanted, shape, read };
  });
}

async function writeLayout(
  path: string,
  layout: SafetensorsLayout<StoredTensor>,
  progress: ProgressReporter,
  { abortSignal }: WriteOptions,
): Promise<PendingFile> {
  return writePending(path, async (append) => {
    abortSignal?.throwIfAborted();
    await append(layout.head);
    progress.add(path, layout.head.length);
    for (const { name, dtype, shape, read } of layout.tensors) {
      const values = await read({ abortSignal });
      assertFilled(name, shape, values.length);
      for (let begin = 0; begin < values.length; begin += PIECE_LENGTH) {
        abortSignal?.throwIfAborted();
        const bytes = encodeValues(piece(values, begin, begin + PIECE_LENGTH), dtype, name);
        await append(bytes);
        progress.add(path, bytes.length);
      }
    }
    abortSignal?.throwIfAborted();
  });
}

/** A part of the values, without copying where the array allows it. */
function piece(values: ArrayLike<number>, begin: number, end: number): ArrayLike<number> {
  const isView = values instanceof Float32Array || values instanceof Int32Array || values instanceof Uint8Array;
  return isView ? values.subarray(begin, end) : Array.prototype.slice.call(values, begin, end);
}

async function writeIndex(path: string, shards: readonly StoredTensor[][], names: readonly string[]): Promise<PendingFile> {
  const entries = shards.flatMap((shard, index) => shard.map(({ name }) => [name, names[index]!] as const));
  const totalBytes = shards.flat().reduce((sum, tensor) => sum + storedBytes(tensor), 0);
  const index = {
    metadata: { total_size: totalBytes },
    weight_map: Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1))),
  };
  return writePending(path, (append) => append(new TextEncoder().encode(`${JSON.stringify(index, undefined, 2)}\n`)));
}

/** In the given order; a new shard begins where the next tensor would not fit. */
function splitIntoShards(tensors: readonly StoredTensor[], maxShardBytes: number): StoredTensor[][] {
  const shards: StoredTensor[][] = [[]];
  let size = 0;
  for (const tensor of tensors) {
    const bytes = storedBytes(tensor);
    if (size + bytes > maxShardBytes && shards.at(-1)!.length > 0) {
      shards.push([]);
      size = 0;
    }
    shards.at(-1)!.push(tensor);
    size += bytes;
  }
  return shards;
}

function shardName(index: number, count: number): string {
  if (count === 1) return WEIGHTS_FILE;
  return `model-${fiveDigits(index + 1)}-of-${fiveDigits(count)}.safetensors`;
}

function fiveDigits(value: number): string {
  return String(value).padStart(5, '0');
}

/** Makes the folder, and lists what weights it holds. */
async function weightFilesIn(folder: string): Promise<string[]> {
  try {
    await mkdir(folder, { recursive: true });
    const names = await readdir(folder);
    const found = names.filter((name) => /^model(?:-\d+-of-\d+)?\.safetensors$/.test(name));
    return names.includes(INDEX_FILE) ? [...found, INDEX_FILE] : found;
  } catch (cause) {
    throw fileProblem('write', folder, cause);
  }
}
