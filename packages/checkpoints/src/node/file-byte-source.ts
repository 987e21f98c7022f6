import { open, type FileHandle } from 'node:fs/promises';
import { CheckpointError, DisposedError } from '@blip2/core';
import { guardedSource, type ByteSource, type ReadOptions } from '../bytes/byte-source.ts';
import { fileProblem } from './file-problem.ts';

/** One read call of the system returns less than 2 GiB; this also bounds how long an abort waits. */
const LARGEST_READ = 256 * 1024 * 1024;

/**
 * The bytes of a file on disk, read by position. The file is opened by the first read and closed by `dispose()`,
 * after the reads under way have ended.
 *
 * @throws {CheckpointError} when there is no such file or it cannot be read.
 */
export async function openFileByteSource(path: string): Promise<ByteSource> {
  const first = await openFile(path);
  let size: number;
  try {
    const stats = await first.stat();
    if (!stats.isFile()) throw new CheckpointError(`${path} is not a file. Pass the path of a file.`, path);
    size = stats.size;
  } finally {
    await first.close();
  }
  let handle: Promise<FileHandle> | undefined;
  let disposed = false;
  const close = (): void => {
    disposed = true;
    // `close` waits for reads under way; nothing was written, so a failure to close has no consequence.
    handle?.then((opened) => opened.close()).catch(() => undefined);
  };
  const readRangeInto = async (offset: number, target: Uint8Array<ArrayBuffer>, options: ReadOptions): Promise<number> => {
    handle ??= openFile(path);
    const opened = await handle;
    if (disposed) throw new DisposedError(path);
    return fill(target, opened, path, offset, options);
  };
  const readRange = async (offset: number, length: number, options: ReadOptions): Promise<Uint8Array> => {
    // Not zeroed: every byte is read, or the array is shortened to those that were. Not pooled: it starts at offset 0.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
    return bytes.subarray(0, await readRangeInto(offset, bytes, options));
  };
  return guardedSource(path, size, { readRange, readRangeInto, close });
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    throw fileProblem('read', path, cause);
  }
}

/** @returns the bytes read: fewer than the target holds when the file ends before. */
async function fill(
  target: Uint8Array<ArrayBuffer>,
  handle: FileHandle,
  path: string,
  offset: number,
  options: ReadOptions,
): Promise<number> {
  let done = 0;
  while (done < target.length) {
    options.abortSignal?.throwIfAborted();
    const wanted = Math.min(LARGEST_READ, target.length - done);
    const { bytesRead } = await handle.read(target, done, wanted, offset + done).catch((cause: unknown) => {
      throw fileProblem('read', path, cause);
    });
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}
