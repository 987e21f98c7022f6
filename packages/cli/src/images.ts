import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ImageError } from '@blip2/core';
import { UsageError } from './command-line.ts';

const IMAGE_FILE = /\.(jpe?g|png|webp|gif|avif)$/i;

/**
 * The images that arguments name, in the order given: files and URLs as they are, folders as the image files
 * in them, by name.
 * @throws {UsageError} when nothing was named. @throws {ImageError} for a path that does not exist or an empty folder.
 */
export async function listImages(names: readonly string[]): Promise<string[]> {
  if (names.length === 0) throw new UsageError('No image was named. Give at least one file, folder or URL before the options.');
  const lists = await Promise.all(names.map((name) => (/^https?:\/\//.test(name) ? [name] : listPath(name))));
  return lists.flat();
}

/** The image files of a folder, by name. */
export async function listFolder(folder: string): Promise<string[]> {
  const entries = await readdir(folder);
  const files = entries.filter((entry) => IMAGE_FILE.test(entry)).toSorted();
  if (files.length > 0) return files.map((file) => join(folder, file));
  throw new ImageError(
    `The folder '${folder}' has no images (it has ${entries.length} other entries). Expected .jpg, .png, .webp, .gif or .avif files.`,
  );
}

async function listPath(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => undefined);
  // A missing file is reported by the decoder, in its own place, so that the other images still get their line.
  return found?.isDirectory() === true ? listFolder(path) : [path];
}
