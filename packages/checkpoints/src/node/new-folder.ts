import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { CheckpointError, listSome } from '@blip2/core';
import { syncFolder } from './atomic-write.ts';
import { fileProblem, systemCode } from './file-problem.ts';

/**
 * Makes a folder with everything in it, or nothing: it is filled under a temporary name beside its place (a dot, and `.tmp` at the
 * end), and gets its own name when `fill` is done. When that fails or is aborted, the temporary folder is removed.
 *
 * @param path - Nothing, or an empty folder; the folder it lies in exists.
 * @param fill - Gets the temporary folder's path.
 * @throws {CheckpointError} when the place is taken or cannot be written.
 */
export async function writeNewFolder<Result>(path: string, fill: (folder: string) => Promise<Result>): Promise<Result> {
  const place = resolve(path);
  await assertFree(place, path);
  const temporary = join(dirname(place), `.${basename(place)}.${randomUUID().slice(0, 8)}.tmp`);
  await mkdir(temporary).catch((cause: unknown) => {
    throw fileProblem('write', path, cause);
  });
  try {
    const result = await fill(temporary);
    await syncFolder(temporary);
    await moveInto(temporary, place, path);
    return result;
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw cause;
  }
}

async function assertFree(place: string, shown: string): Promise<void> {
  const found = await readdir(place).catch((cause: unknown) => {
    if (systemCode(cause) === 'ENOENT') return [];
    if (systemCode(cause) === 'ENOTDIR') return undefined;
    throw fileProblem('write', shown, cause);
  });
  if (found === undefined) {
    throw new CheckpointError(
      `${shown}: cannot be made: the place is taken by a file, or a part of the path is one. Name a folder that does not exist yet.`,
      shown,
    );
  }
  if (found.length > 0) {
    throw new CheckpointError(
      `${shown}: already exists and holds ${listSome(found.toSorted())}. Name a folder that does not exist yet, or remove this one.`,
      shown,
    );
  }
}

async function moveInto(temporary: string, place: string, shown: string): Promise<void> {
  try {
    // An empty folder in the place: some systems rename over it, others do not.
    await rmdir(place).catch((cause: unknown) => {
      if (systemCode(cause) !== 'ENOENT') throw cause;
    });
    await rename(temporary, place);
  } catch (cause) {
    throw fileProblem('write', shown, cause);
  }
  await syncFolder(dirname(place));
}
