import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileSource } from '@blip2/core/json';
import { fileSource } from '@blip2/core/node';
import { UsageError } from '../command-line.ts';

/** The file of an option that a benchmark cannot do without. */
export function neededFile(benchmark: string, option: string, path: string | undefined): FileSource {
  if (path !== undefined && path !== '') return fileSource(path);
  throw new UsageError(`${benchmark} needs --${option} FILE. blip2 eval --help lists the files of each benchmark.`);
}

/** The files of an option that a benchmark cannot do without. */
export async function neededFiles(benchmark: string, option: string, paths: readonly string[]): Promise<FileSource[]> {
  if (paths.length > 0) return filesAndParts(option, paths);
  throw new UsageError(`${benchmark} needs --${option} FILE. blip2 eval --help lists the files of each benchmark.`);
}

/**
 * The files of an option, those of a folder in the place of the folder: large files of GQA come as a folder of parts.
 *
 * @throws {UsageError} when a folder has no JSON.
 */
export async function filesAndParts(option: string, paths: readonly string[]): Promise<FileSource[]> {
  const all = await Promise.all(
    paths.map(async (path) => {
      const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() === true;
      if (!isFolder) return [path];
      const parts = (await readdir(path)).filter((name) => name.endsWith('.json')).toSorted();
      if (parts.length === 0)
        throw new UsageError(
          `--${option} ${path}: is a folder without .json files, expected the parts of a file. Check the path.`,
        );
      return parts.map((name) => join(path, name));
    }),
  );
  return all.flat().map((path) => fileSource(path));
}

/** Whether a model is to be run, after checking that one thing was asked for. `--images` beside results is for pictures. */
export function runsModel(
  benchmark: string,
  { images, model }: { readonly images?: string; readonly model?: string },
  option: 'predictions' | 'scores',
  given: string | undefined,
): boolean {
  if (given !== undefined && model !== undefined) {
    throw new UsageError(`${benchmark}: --${option} names results that are there, and --model asks for new ones. Leave one out.`);
  }
  if (given === undefined && images === undefined) {
    throw new UsageError(
      `${benchmark} needs something to score: --${option} FILE, or --images FOLDER to run a model on the benchmark's images.`,
    );
  }
  return given === undefined;
}
