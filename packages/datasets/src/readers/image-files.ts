import { access, type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { DatasetError } from '@blip2/core';
import { shortened } from '@blip2/core/json';
import { fileProblem } from '@blip2/core/node';
import { DEFAULT_MAX_BYTES } from '@blip2/image';
import type { ReadOptions } from '../records/record.ts';

/**
 * Refuses names that could lead out of the folder of images: annotations are files from elsewhere.
 *
 * @param place - For messages: `coco.json: entry 5`.
 * @throws {DatasetError} for an empty, absolute or climbing name, and one with a backslash, a colon or a control character.
 */
export function assertImageName(name: string, path: string, place: string): void {
  const parts = name.split('/');
  // eslint-disable-next-line no-control-regex
  if (!/[\\:\u0000-\u001f]/.test(name) && parts.every((part) => part !== '' && part !== '.' && part !== '..')) return;
  throw new DatasetError(
    `${path}: ${place}: the image is named ${shortened(name)}, expected a path below the folder of images, with '/' between its parts. ` +
      `Do not use this file unless you trust it; then correct the name.`,
    path,
  );
}

/**
 * Reads an image of a data set: the file at the first of several names that there is. Data sets are unpacked in more than one
 * way, with the folders that the annotations name and without.
 *
 * @param names - Below `folder`, checked already.
 * @throws {DatasetError} when there is no file, or it is none, or larger than 256 MiB.
 */
export async function readImageFile(folder: string, names: readonly string[], options: ReadOptions = {}): Promise<Uint8Array> {
  const { abortSignal } = options;
  abortSignal?.throwIfAborted();
  for (const name of names) {
    const path = join(folder, name);
    let file: FileHandle | undefined;
    try {
      file = await open(path);
      const stats = await file.stat();
      if (!stats.isFile()) throw new DatasetError(`${path}: is no file, expected an image. Check the folder of images.`, path);
      if (stats.size > DEFAULT_MAX_BYTES) {
        throw new DatasetError(`${path}: has ${stats.size} bytes, expected at most ${DEFAULT_MAX_BYTES}. Check the image.`, path);
      }
      return await file.readFile({ signal: abortSignal });
    } catch (cause) {
      abortSignal?.throwIfAborted(); // with the caller's reason
      if (!isMissing(cause)) throw fileProblem(path, cause);
    } finally {
      await file?.close();
    }
  }
  const path = join(folder, names[0]!);
  const others = names.slice(1).map((name) => `'${name}'`);
  const alsoNot = others.length === 0 ? '' : `, nor ${others.join(', ')} in ${folder}`;
  throw new DatasetError(
    `${path}: there is no such file${alsoNot}. Check the folder of images, or download those that are missing.`,
    path,
  );
}

/** Where a file may lie, in the order in which {@link readImageFile} looks. */
export function imagePaths(folder: string, names: readonly string[]): string[] {
  return names.map((name) => join(folder, name));
}

/** The first path at which there is something. */
export async function firstFile(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}

/** A name and then, where it has folders, the bare file name. */
export function nameAndBareName(name: string): readonly string[] {
  const bare = name.slice(name.lastIndexOf('/') + 1);
  return bare === name ? [name] : [name, bare];
}

function isMissing(cause: unknown): boolean {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
