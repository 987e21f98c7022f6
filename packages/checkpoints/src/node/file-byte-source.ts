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
  const readRange = async (offset: number, length: number, options: ReadOptions): Promise<Uint8Array> => {
    handle ??= openFile(path);
    const opened = await handle;
    if (disposed) throw new DisposedError(path);
    return readFully(opened, path, offset, length, options);
  };
  return guardedSource(path, size, readRange, close);
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    throw fileProblem('read', path, cause);
  }
}

async function readFully(
  handle: FileHandle,
  path: string,
  offset: number,
  length: number,
  options: ReadOptions,
): Promise<Uint8Array> {
  // Not zeroed: every byte is read, or the array is shortened to those that were. Not pooled: it starts at offset 0.
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
  let done = 0;
  while (done < length) {
    options.abortSignal?.throwIfAborted();
    const wanted = Math.min(LARGEST_READ, length - done);
    const { bytesRead } = await handle.read(bytes, done, wanted, offset + done).catch((cause: unknown) => {
      throw fileProblem('read', path, cause);
    });
    if (bytesRead === 0) return bytes.subarray(0, done);
    done += bytesRead;
  }
  return bytes;
}
