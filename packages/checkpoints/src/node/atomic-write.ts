import { randomUUID } from 'node:crypto';
import { open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Blip2Error, CheckpointError } from '@blip2/core';
import { fileProblem, systemCode } from './file-problem.ts';

/** A file that is complete on disk under a temporary name and waits for its own. */
export interface PendingFile {
  readonly path: string;
  /** Puts the file in its place, replacing one that is there. */
  commit(): Promise<void>;
  /** Removes it. Does nothing after `commit`. */
  discard(): Promise<void>;
}

/**
 * Writes a file under a temporary name beside its place and flushes it to the disk. The name begins with a dot and ends
 * in `.tmp`, so nothing takes it for a checkpoint. When `write` fails or is aborted, the file is removed.
 *
 * @param write - Gets a function that appends bytes.
 * @throws {ResourceError} when the disk is full.
 * @throws {CheckpointError} when the folder cannot be written, or the path is a folder, a device or a pipe.
 */
export async function writePending(
  path: string,
  write: (append: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<PendingFile> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomUUID().slice(0, 8)}.tmp`);
  await assertReplaceable(path);
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, 'wx');
    const opened = handle;
    await write((bytes) => writeFully(opened, bytes));
    await handle.sync();
    await handle.close();
    handle = undefined;
  } catch (cause) {
    await handle?.close().catch(() => undefined);
    await rm(temporary, { force: true }).catch(() => undefined);
    throw systemCode(cause) === undefined || Blip2Error.isInstance(cause) || isAbort(cause)
      ? cause
      : fileProblem('write', path, cause);
  }
  let settled = false;
  return {
    path,
    async commit() {
      settled = true;
      try {
        await rename(temporary, path);
      } catch (cause) {
        await rm(temporary, { force: true }).catch(() => undefined);
        throw fileProblem('write', path, cause);
      }
    },
    async discard() {
      if (!settled) await rm(temporary, { force: true }).catch(() => undefined);
      settled = true;
    },
  };
}

/** A rename would put the file in the place of whatever is there: a device such as /dev/null would be gone. */
async function assertReplaceable(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || found.isFile()) return;
  const kind = found.isDirectory() ? 'a folder' : 'a device or a pipe';
  throw new CheckpointError(`${path} is ${kind}, expected a file or nothing. Name a file to write.`, path);
}

/** Makes renames in a folder survive a power cut. Systems that cannot do this to a folder are left alone. */
export async function syncFolder(path: string): Promise<void> {
  try {
    const handle = await open(path, 'r');
    await handle.sync().finally(() => handle.close());
  } catch {
    // Windows opens no folders; the files themselves were flushed.
  }
}

async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done);
    done += bytesWritten;
  }
}

/** An abort's reason may be anything; an `AbortError` has a numeric `code`, one made by Node a string. */
function isAbort(cause: unknown): boolean {
  return cause instanceof Error && cause.name === 'AbortError';
}
