import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InputError, ResourceError } from '../errors.ts';

/** Written at a time, in characters. */
const PIECE_LENGTH = 2 ** 20;

const CURES: Readonly<Record<string, string>> = {
  ENOENT: 'its folder is not there. Make it, or name another one.',
  ENOTDIR: 'a part of the path is a file, not a folder. Check the path.',
  EISDIR: 'it is a folder. Pass the path of a file.',
  EACCES: 'permission was refused. Check the owner and the mode of the folder.',
  EPERM: 'permission was refused. Check the owner and the mode of the folder.',
  EROFS: 'the file system is read-only. Name another folder.',
};

/**
 * Writes a file so that there is a whole one at any time, the earlier or the new: under a temporary name beside it, which is then renamed.
 * When it fails, the temporary file is removed and the earlier one is as it was.
 *
 * @param texts - The content, in pieces of any size that cut no character in two.
 * @throws {InputError} when the file cannot be written, with what to do.
 * @throws {ResourceError} when the disk is full.
 * @throws what `texts` throws.
 */
export async function replaceFile(path: string, texts: Iterable<string>): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomUUID().slice(0, 8)}.tmp`);
  try {
    const file = await open(temporary, 'wx');
    try {
      let piece = '';
      for (const text of texts) {
        piece += text;
        if (piece.length < PIECE_LENGTH) continue;
        await file.appendFile(piece);
        piece = '';
      }
      await file.appendFile(piece);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw writeProblem(path, cause);
  }
}

/** A system error as one of ours, with the cause kept; others stay what they are. */
function writeProblem(path: string, cause: unknown): unknown {
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
  if (typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return cause;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new ResourceError(`${path}: cannot be written: the disk is full. Free some space, or name another folder.`, { cause });
  }
  const cure = CURES[code] ?? `${(cause as Error).message}. Check the disk, then try again.`;
  return new InputError(`${path}: cannot be written: ${cure}`, { cause });
}
