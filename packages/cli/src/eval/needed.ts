import type { FileSource } from '@blip2/core/json';
import { fileSource } from '@blip2/core/node';
import { UsageError } from '../command-line.ts';

/** The file of an option that a benchmark cannot do without. */
export function neededFile(benchmark: string, option: string, path: string | undefined): FileSource {
  if (path !== undefined && path !== '') return fileSource(path);
  throw new UsageError(`${benchmark} needs --${option} FILE. blip2 eval --help lists the files of each benchmark.`);
}

/** The files of an option that a benchmark cannot do without. */
export function neededFiles(benchmark: string, option: string, paths: readonly string[]): FileSource[] {
  if (paths.length > 0) return paths.map((path) => fileSource(path));
  throw new UsageError(`${benchmark} needs --${option} FILE. blip2 eval --help lists the files of each benchmark.`);
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
