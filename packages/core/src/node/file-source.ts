import { createReadStream } from 'node:fs';
import { DatasetError } from '../errors.ts';
import type { FileSource } from '../json/file-source.ts';

/** Read at a time. */
const PIECE_BYTES = 2 ** 20;

const CURES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file. Check the path.',
  ENOTDIR: 'a part of the path is a file, not a folder. Check the path.',
  EISDIR: 'it is a folder. Pass the path of a file.',
  EACCES: 'permission was refused. Check the owner and the mode of the file and its folder.',
  EPERM: 'permission was refused. Check the owner and the mode of the file and its folder.',
  EMFILE: 'too many files are open. Close what is not needed.',
};

/** A system error as one of ours, with the cause kept; ours and aborts stay what they are. */
export function fileProblem(path: string, cause: unknown): unknown {
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
  if (typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return cause;
  const cure = CURES[code] ?? `${(cause as Error).message}. Check the disk, then try again.`;
  return new DatasetError(`${path}: cannot be read: ${cure}`, path, { cause });
}

/**
 * A file of this machine. It is opened when it is read, and may be read several times.
 *
 * Reading throws a {@link DatasetError} when it is missing, a folder, or must not be read.
 */
export function fileSource(path: string): FileSource {
  return {
    name: path,
    async *read() {
      try {
        yield* createReadStream(path, { highWaterMark: PIECE_BYTES }) as AsyncIterable<Uint8Array>;
      } catch (cause) {
        throw fileProblem(path, cause);
      }
    },
  };
}
