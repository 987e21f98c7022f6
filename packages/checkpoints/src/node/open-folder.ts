import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError } from '@blip2/core';
import type { ReadOptions } from '../bytes/byte-source.ts';
import type { CheckpointFiles } from '../checkpoint/checkpoint-files.ts';
import { openCheckpointFiles, type OpenedCheckpoint } from '../checkpoint/open-checkpoint-files.ts';
import { openSafetensors, type SafetensorsFile } from '../safetensors/open-safetensors.ts';
import { openFileByteSource } from './file-byte-source.ts';
import { fileProblem, systemCode } from './file-problem.ts';

/** Options of {@link openCheckpointFolder}. */
export interface OpenFolderOptions extends ReadOptions {
  /** What to call the checkpoint in messages. @default the path */
  readonly name?: string;
}

/**
 * Opens a model folder on disk in the Hub's layout. Headers are read and checked; weights are not read.
 * Original (LAVIS) names are translated to those of the Hub.
 *
 * @param path - The folder with `config.json` and `model.safetensors`, or with several files and an index.
 * @returns a checkpoint, the caller's to dispose; it holds one file handle a file of weights.
 * @throws {CheckpointError} when the folder or its weights are missing or malformed.
 *
 * @example
 * const checkpoint = await openCheckpointFolder('models/blip2-opt-2.7b');
 * checkpoint.weights.get('query_tokens')?.shape; // [1, 32, 768]
 * checkpoint.dispose();
 */
export async function openCheckpointFolder(path: string, options: OpenFolderOptions = {}): Promise<OpenedCheckpoint> {
  options.abortSignal?.throwIfAborted();
  const stats = await stat(path).catch((cause: unknown) => {
    throw fileProblem('read', path, cause);
  });
  if (!stats.isDirectory()) {
    throw new CheckpointError(`${path}: is a file, expected a model's folder. Pass the folder the file lies in.`, path);
  }
  return openCheckpointFiles(filesInFolder(path, options.name ?? path), options);
}

/**
 * Opens one safetensors file on disk. Its header is read and checked; weights are not read, and keep their names.
 *
 * @returns a file, the caller's to dispose.
 * @throws {CheckpointError} when it is missing or breaks a rule of the format.
 *
 * @example
 * const file = await openSafetensorsFile('features.safetensors');
 * const values = await file.get('image_features')?.read();
 * file.dispose();
 */
export async function openSafetensorsFile(path: string, options: ReadOptions = {}): Promise<SafetensorsFile> {
  return openSafetensors(await openFileByteSource(path), options);
}

function filesInFolder(folder: string, name: string): CheckpointFiles {
  const pathOf = (fileName: string): string => join(folder, fileName);
  return {
    name,
    pathOf,
    readFile: (fileName, { abortSignal }) => unlessMissing(readWhole(pathOf(fileName), abortSignal)),
    open: (fileName) => unlessMissing(openFileByteSource(pathOf(fileName))),
    list: () => readdir(folder),
  };
}

async function readWhole(path: string, abortSignal: AbortSignal | undefined): Promise<Uint8Array> {
  abortSignal?.throwIfAborted();
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw fileProblem('read', path, cause);
  });
  abortSignal?.throwIfAborted();
  return bytes;
}

/** A dangling link, as an interrupted download leaves in a cache, counts as missing too. */
async function unlessMissing<Result>(result: Promise<Result>): Promise<Result | undefined> {
  try {
    return await result;
  } catch (cause) {
    if (cause instanceof CheckpointError && systemCode(cause.cause) === 'ENOENT') return undefined;
    throw cause;
  }
}
