import { realpath, stat } from 'node:fs/promises';
import { parse, relative, sep } from 'node:path';
import { CheckpointError, ConfigError, type WeightLocation } from '@blip2/core';

/** Files of weights as a model can name them. */
export interface LocatedWeightFiles {
  /** The folder that ONNX Runtime is told to look in: the root of the file system. */
  readonly folder: string;
  /** A file's path below `folder`, for `writeModel`. Symbolic links are resolved, because ONNX Runtime follows none. */
  readonly pathOf: (file: string) => string;
}

/**
 * Finds files of weights for a model that refers to them.
 *
 * ONNX Runtime reads a model's external data only below one folder, and takes neither absolute paths nor links that lead
 * out of it. For a model that is loaded from memory the session option `session.model_external_initializers_file_folder_path`
 * names that folder; it may be the root of the file system, and so no file is copied or linked. Files are mapped
 * into memory, not read, where pre-packing is off. They must stay as they are while a session uses them.
 *
 * @param locations - Every place that the model refers to.
 * @throws {CheckpointError} for files that are not there or too short, and for URLs.
 * @throws {ConfigError} for files on different drives (Windows).
 */
export async function locateWeightFiles(locations: readonly WeightLocation[]): Promise<LocatedWeightFiles> {
  const ends = new Map<string, number>();
  for (const { file, byteOffset, byteLength } of locations) {
    ends.set(file, Math.max(ends.get(file) ?? 0, byteOffset + byteLength));
  }
  const paths = new Map<string, string>();
  for (const [file, end] of ends) paths.set(file, await resolveFile(file, end));
  const roots = new Map([...paths].map(([file, path]) => [parse(path).root, file]));
  if (roots.size > 1) {
    throw new ConfigError(
      `locateWeightFiles: weights lie on different drives (${[...roots.values()].join(', ')}); expected one, because ONNX Runtime reads a ` +
        'model’s weights below one folder. Move them, and the cache folder (BLIP2_CACHE), to one drive.',
    );
  }
  const [folder = '/'] = roots.keys();
  return {
    folder,
    pathOf(file) {
      const path = paths.get(file);
      if (path === undefined)
        throw new ConfigError(`locateWeightFiles: '${file}' was not among the files. Pass every file of the graph.`);
      return relative(folder, path).replaceAll(sep, '/');
    },
  };
}

/** @param end - Where the last value in it ends, in bytes. */
async function resolveFile(file: string, end: number): Promise<string> {
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(file)) {
    throw new CheckpointError(
      `locateWeightFiles: ${file} is an address, expected a file on this machine: a compiled graph maps its weights into memory. ` +
        'Download the checkpoint first, for example with resolveRepository, and open the folder.',
      file,
    );
  }
  const path = await realpath(file).catch((cause: unknown) => {
    throw new CheckpointError(
      `locateWeightFiles: ${file} cannot be found (${codeOf(cause)}), expected a file of weights. Check the path; a checkpoint must ` +
        'stay where it was opened.',
      file,
      { cause },
    );
  });
  const stats = await stat(path);
  if (!stats.isFile()) {
    throw new CheckpointError(
      `locateWeightFiles: ${file} is no file, expected a file of weights. Pass the path of a file.`,
      file,
    );
  }
  if (stats.size < end) {
    throw new CheckpointError(
      `locateWeightFiles: ${file} has ${stats.size} bytes, expected at least ${end}: the file is cut off, or was replaced after it was ` +
        'opened. Fetch it again.',
      file,
    );
  }
  return path;
}

function codeOf(cause: unknown): string {
  return (cause as NodeJS.ErrnoException).code ?? String(cause);
}
