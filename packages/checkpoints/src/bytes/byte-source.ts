import { CheckpointError, DisposedError, type RunOptions } from '@blip2/core';

/** Stops a single read. */
export type ReadOptions = Pick<RunOptions, 'abortSignal'>;

/**
 * Random access to the bytes of one file, wherever it lies. Implement it to read checkpoints from somewhere
 * new: a database, an archive, a peer.
 */
export interface ByteSource {
  /** Path or URL, for messages and for {@link @blip2/core!WeightLocation.file}. */
  readonly name: string;
  /** Bytes in the file; up to 2^53 − 1. */
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset` on, in fresh memory that the caller owns.
   *
   * @throws {CheckpointError} when the file ends before that.
   * @throws {DisposedError} after `dispose()`.
   */
  read(offset: number, length: number, options?: ReadOptions): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * The same into memory of the caller, as many bytes as it has. Optional: it saves a copy where the source can do it.
   *
   * @throws as {@link ByteSource.read}.
   */
  readInto?(offset: number, target: Uint8Array<ArrayBuffer>, options?: ReadOptions): Promise<void>;
  /** Lets go of file handles and buffers. Idempotent. */
  dispose(): void;
}

/**
 * The bytes of an array, without copying it. The array must not change while the source is in use.
 *
 * @param name - For messages.
 */
export function byteSourceFromBytes(name: string, bytes: Uint8Array): ByteSource {
  return guardedSource(name, bytes.length, {
    readRange: async (offset, length) => bytes.slice(offset, offset + length),
    async readRangeInto(offset, target) {
      target.set(bytes.subarray(offset, offset + target.length));
      return target.length;
    },
  });
}

/**
 * The bytes of a `Blob` or a `File` from a file picker; only the ranges that are read enter memory.
 *
 * @param name - For messages. @default the file's name
 */
export function byteSourceFromBlob(blob: Blob, name: string = blobName(blob)): ByteSource {
  return guardedSource(name, blob.size, {
    readRange: async (offset, length) => new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()),
  });
}

/** How a source gets at its bytes; see {@link guardedSource}. */
export interface RangeReader {
  /** The bytes of a range in fresh memory; fewer when the file ends before. */
  readRange(offset: number, length: number, options: ReadOptions): Promise<Uint8Array>;
  /** Fills `target` and returns how many bytes there were. */
  readRangeInto?(offset: number, target: Uint8Array<ArrayBuffer>, options: ReadOptions): Promise<number>;
  close?(): void;
}

/**
 * Puts the checks that every source needs around the functions that read: range, disposal, abort, and that as
 * many bytes came as were asked for.
 *
 * @internal
 */
export function guardedSource(name: string, size: number, reader: RangeReader): ByteSource {
  let disposed = false;
  const guarded = async <Result>(
    offset: number,
    length: number,
    options: ReadOptions,
    work: () => Promise<[Result, number]>,
  ): Promise<Result> => {
    if (disposed) throw new DisposedError(name);
    options.abortSignal?.throwIfAborted();
    assertInFile(name, size, offset, length);
    const [result, found] = await work();
    options.abortSignal?.throwIfAborted();
    if (found !== length) throw shortRead(name, offset, length, found);
    return result;
  };
  const { readRangeInto } = reader;
  return {
    name,
    size,
    read: (offset, length, options = {}) =>
      guarded(offset, length, options, async () => {
        const bytes = length === 0 ? new Uint8Array(0) : await reader.readRange(offset, length, options);
        return [bytes as Uint8Array<ArrayBuffer>, bytes.length];
      }),
    readInto:
      readRangeInto &&
      ((offset, target, options = {}) =>
        guarded(offset, target.length, options, async () => [undefined, await readRangeInto(offset, target, options)])),
    dispose() {
      if (disposed) return;
      disposed = true;
      reader.close?.();
    },
  };
}

function assertInFile(name: string, size: number, offset: number, length: number): void {
  if (Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0 && offset + length <= size)
    return;
  throw new CheckpointError(`${name}: cannot read ${length} bytes at offset ${offset} of a file of ${size} bytes.`, name);
}

/** The error for a file that became shorter than it was when it was opened. */
function shortRead(name: string, offset: number, length: number, found: number): CheckpointError {
  return new CheckpointError(
    `${name}: found only ${found} of the ${length} bytes expected at offset ${offset}. ` +
      `The file changed or was cut off while it was open; restore it and open it again.`,
    name,
  );
}

function blobName(blob: Blob): string {
  return 'name' in blob && typeof blob.name === 'string' ? blob.name : 'blob';
}
