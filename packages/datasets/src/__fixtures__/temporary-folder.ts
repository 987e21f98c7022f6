import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatasetError } from '@blip2/core';
import { onTestFinished } from 'vitest';

/** An empty folder that is gone after the test, and how to put files in it. */
export interface TemporaryFolder {
  readonly path: string;
  /** Writes a file; objects as JSON. @returns its path. */
  write(name: string, content: unknown): Promise<string>;
}

/** Makes a folder for the test that runs. */
export async function temporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), 'blip2-datasets-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return {
    path,
    async write(name, content) {
      const file = join(path, name);
      await mkdir(dirname(file), { recursive: true });
      const isRaw = typeof content === 'string' || content instanceof Uint8Array;
      await writeFile(file, isRaw ? content : JSON.stringify(content));
      return file;
    },
  };
}

/** The message of the {@link DatasetError} that some work ends with, with the folder's path left out. */
export async function problemOf(work: Promise<unknown>, folder: TemporaryFolder): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (!DatasetError.isInstance(error)) throw error;
    return error.message.replaceAll(`${folder.path}/`, '').replaceAll(folder.path, 'FOLDER');
  }
  return 'nothing was refused';
}
