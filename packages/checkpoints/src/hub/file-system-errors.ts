import { ResourceError } from '@blip2/core';

/** The code of a system error, such as `ENOENT`. */
export function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

/** True when the cache cannot be written at all, as opposed to being full or broken. */
export function isReadOnlyError(error: unknown): boolean {
  return ['EROFS', 'EACCES', 'EPERM'].includes(systemCode(error) ?? '');
}

/** Bytes in words, in powers of ten as the Hub shows them: `14.98 GB`. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return power === 0 ? `${bytes} bytes` : `${(bytes / 1000 ** power).toFixed(2)} ${units[power]}`;
}

/** A number of files in words. */
export function countFiles(count: number): string {
  return count === 1 ? '1 file' : `${count} files`;
}

/**
 * Turns a system error of the cache into a `ResourceError` that says what to do; passes everything else on.
 *
 * @param doing - What was being done, for the message: `writing model.safetensors`.
 * @returns The error to throw.
 */
export function cacheProblem(error: unknown, doing: string, cacheFolder: string): unknown {
  const code = systemCode(error);
  if (code === undefined || error instanceof ResourceError) return error;
  const where = `resolveRepository: ${doing} in the cache ${cacheFolder}`;
  const options = { cause: error };
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new ResourceError(
      `${where} failed: the disk is full (${code}); expected room for the whole file. Free some space, or name another folder in ` +
        'HF_HUB_CACHE or cacheFolder, and run again: what has arrived is kept and continued.',
      options,
    );
  }
  if (isReadOnlyError(error)) {
    return new ResourceError(
      `${where} failed: the folder cannot be written (${code}); expected a writable folder, because files are still missing. ` +
        'Change its permissions, or name another folder in HF_HUB_CACHE or cacheFolder.',
      options,
    );
  }
  if (code.startsWith('ECONN') || code === 'ENOTFOUND' || code === 'EPIPE' || code === 'ETIMEDOUT') return error;
  return new ResourceError(
    `${where} failed: ${(error as Error).message}; expected ordinary files and folders in the layout of the Hugging Face ` +
      'cache. Remove what is in the way, or name another folder in HF_HUB_CACHE or cacheFolder.',
    options,
  );
}
