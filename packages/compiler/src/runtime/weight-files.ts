import { realpath, stat } from 'node:fs/promises';
import { parse, relative, sep } from 'node:path';
import { CheckpointError, ConfigError } from '@blip2/core';

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
 * @param files - Paths, as `Weight.location` has them.
 * @throws {CheckpointError} for files that are not there, and for URLs.
 * @throws {ConfigError} for files on different drives (Windows).
 */
export async function locateWeightFiles(files: readonly string[]): Promise<LocatedWeightFiles> {
  const paths = new Map<string, string>();
  for (const file of files) paths.set(file, await resolveFile(file));
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

async function resolveFile(file: string): Promise<string> {
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(file)) {
    throw new CheckpointError(
      `locateWeightFiles: ${file} is an address, expected a file on this machine: a compiled graph maps its weights into memory. ` +
        'Download the checkpoint first, for example with resolveRepository, and open the folder.',
      file,
    );
  }
  try {
    const path = await realpath(file);
    if ((await stat(path)).isFile()) return path;
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new CheckpointError(
      `locateWeightFiles: ${file} cannot be found (${code}), expected a file of weights. Check the path; a checkpoint must stay ` +
        'where it was opened.',
      file,
      { cause },
    );
  }
  throw new CheckpointError(`locateWeightFiles: ${file} is no file, expected a file of weights. Pass the path of a file.`, file);
}
