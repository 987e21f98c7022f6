import { DownloadError } from '@blip2/core';

/** Decides by the path inside the repository whether a file is wanted. */
export type FileFilter = (path: string) => boolean;

/** Patterns over whole paths, where `*` stands for any characters and `?` for one, or a function of the path. */
export type FileSelection = readonly string[] | FileFilter;

/** JSON files in the root that belong to weights in other formats. */
const FOREIGN_INDEX = /\.(bin|h5|msgpack|ckpt)\.index\.json$/;
const MODEL_FILE = /^([^/]+\.json|vocab\.txt|merges\.txt|[^/]+\.model|[^/]+\.safetensors)$/;

/**
 * True for the files that a model is loaded from: JSON (configuration, generation, processor, tokenizer, index of shards),
 * `vocab.*`, `merges.txt`, SentencePiece models and safetensors, all in the repository's root. Never pickled, Flax or
 * TensorFlow weights.
 *
 * @example
 * isModelFile('model-00001-of-00002.safetensors'); // true
 * isModelFile('pytorch_model.bin'); // false
 */
export function isModelFile(path: string): boolean {
  return MODEL_FILE.test(path) && !FOREIGN_INDEX.test(path);
}

/** Turns a {@link FileSelection} into a function; without one, {@link isModelFile}. */
export function fileFilter(selection: FileSelection | undefined): FileFilter {
  if (selection === undefined) return isModelFile;
  if (typeof selection === 'function') return selection;
  const patterns = selection.map(
    (pattern) =>
      new RegExp(
        `^${pattern
          .replace(/[\\^$.|+()[\]{}]/g, '\\$&')
          .replace(/\*+/g, '.*')
          .replace(/\?/g, '.')}$`,
        's',
      ),
  );
  return (path) => patterns.some((pattern) => pattern.test(path));
}

/**
 * Refuses names that could leave the snapshot folder or mean different files to different systems: absolute paths, drive
 * letters, `.` and `..` segments, backslashes, control characters, over-long segments, files below files. The names come from whoever wrote
 * the repository, or from whoever answers in its place.
 *
 * @throws {DownloadError} naming the file and the rule.
 */
export function checkFileNames(paths: readonly string[], repositoryId: string, url: string): void {
  const all = new Set(paths);
  for (const path of paths) {
    const folder = parentFolders(path).find((parent) => all.has(parent));
    const problem = folder === undefined ? fileNameProblem(path) : `lies below the file ${JSON.stringify(folder)}`;
    if (problem !== undefined) throw untrustedName(path, problem, repositoryId, url);
  }
}

function parentFolders(path: string): readonly string[] {
  const segments = path.split('/');
  return segments.slice(1).map((_, index) => segments.slice(0, index + 1).join('/'));
}

function untrustedName(path: string, problem: string, repositoryId: string, url: string): DownloadError {
  const shown = JSON.stringify(path.length > 120 ? `${path.slice(0, 120)}…` : path);
  return new DownloadError(
    `resolveRepository: the file list of ${repositoryId} has ${shown}, which ${problem}; expected a relative path below the ` +
      `snapshot folder. Nothing was written. Do not use this repository, or check the endpoint.`,
    url,
  );
}

/** Why a path is not to be trusted, or `undefined` when it is fine. */
export function fileNameProblem(path: string): string | undefined {
  if (path === '') return 'is empty';
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(path)) return 'contains control characters';
  if (path.includes('\\')) return 'contains a backslash';
  if (path.startsWith('/')) return 'is absolute';
  for (const segment of path.split('/')) {
    if (segment === '') return 'has an empty segment';
    if (segment === '.' || segment === '..') return `has the segment '${segment}'`;
    if (/^[A-Za-z]:/.test(segment)) return 'names a drive';
    if (Buffer.byteLength(segment) > 255) return 'has a segment of more than 255 bytes';
  }
  return undefined;
}
