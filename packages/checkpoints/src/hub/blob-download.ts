import { createHash, type Hash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DownloadError } from '@blip2/core';
import { checkStatus, type Connection, describeSubject, type RequestSubject } from './answers.ts';
import { lockBlob } from './blob-lock.ts';
import { blobPath, type CacheLayout, hasFile, lockPath } from './cache-layout.ts';
import { type Exchange, openExchange, readEtag, readSize, shownUrl } from './exchange.ts';
import { systemCode } from './file-system-errors.ts';
import type { RepositoryFile } from './hub-listing.ts';
import { Interruption, Retries } from './retry.ts';

/** Bytes that a try must bring to count as progress: fewer, and a server that drips would never be given up. */
const PROGRESS_BYTES = 64 * 1024;
const HASH_CHUNK_BYTES = 1024 * 1024;

/** One blob to be fetched. */
export interface BlobRequest {
  readonly connection: Connection;
  readonly layout: CacheLayout;
  readonly subject: RequestSubject;
  readonly commit: string;
  readonly file: RepositoryFile;
  /** Called with how many bytes of the file are now on disk; may fall when a file has to be begun again. */
  readonly onBytes: (bytes: number) => void;
}

/**
 * Fetches one file into `blobs/<hash>`, unless it is there.
 *
 * What arrives goes to a partial file beside the blob. A later call, also of another process, continues it by an HTTP range, hashing
 * what is there first. Only when length and hash are right is it flushed and renamed to its name, so a blob is never half-written.
 *
 * @throws {DownloadError} when the file cannot be fetched or is not the one that the list promises.
 * Rejects with the signal's reason on abort, and with system errors of the cache as they come.
 */
export async function downloadBlob(request: BlobRequest): Promise<void> {
  const { layout, file, connection, onBytes } = request;
  const blob = blobPath(layout, file.blobId);
  if (!(await hasFile(blob, file.sizeBytes))) {
    const lock = await lockBlob(lockPath(layout, file.blobId), connection.abortSignal);
    try {
      // Another process may have fetched it while we waited.
      if (!(await hasFile(blob, file.sizeBytes))) await fetchVerified(request, blob);
    } finally {
      await lock.release();
    }
  }
  onBytes(file.sizeBytes);
}

/** Bytes of a blob that are already on disk, from whoever left them. */
export async function partialBytes(layout: CacheLayout, file: RepositoryFile): Promise<number> {
  const found = await findPartials(blobPath(layout, file.blobId));
  return Math.min(file.sizeBytes, Math.max(0, ...found.map(({ sizeBytes }) => sizeBytes)));
}

async function fetchVerified(request: BlobRequest, blob: string): Promise<void> {
  const { path, handle } = await openPartial(blob);
  const partial = new PartialFile(handle, request.file);
  let finished = false;
  try {
    await partial.hashExisting(request.onBytes, request.connection.abortSignal);
    await fetchRest(request, partial);
    await handle.datasync();
    finished = true;
  } finally {
    await handle.close();
    // Empty or refuted partial files help nobody.
    if (!finished && partial.sizeBytes === 0) await rm(path, { force: true });
  }
  try {
    await rename(path, blob);
  } catch (error) {
    // While this process slept, another one took the partial file over and finished it.
    if (systemCode(error) !== 'ENOENT' || !(await hasFile(blob, request.file.sizeBytes))) throw error;
  }
}

/** Requests what is missing until length and hash are right. */
async function fetchRest(request: BlobRequest, partial: PartialFile): Promise<void> {
  const { connection, subject, file, commit } = request;
  const { endpoint } = connection.settings;
  const url = new URL(
    `${endpoint.href.replace(/\/$/, '')}/${subject.repositoryId}/resolve/${commit}/${file.path.split('/').map(encodeURIComponent).join('/')}`,
  );
  const retries = new Retries(connection.retryPolicy, connection.abortSignal);
  let entityTag: string | undefined;
  let refusals = 0;
  for (;;) {
    const before = partial.sizeBytes;
    try {
      if (!partial.complete) {
        const exchange = await openExchange(connection.settings, url, rangeHeaders(partial, entityTag), connection.abortSignal);
        try {
          checkStatus(exchange, subject, connection.settings);
          entityTag = strongEntityTag(exchange.headers);
          await receive(request, partial, exchange);
        } finally {
          await exchange.close();
        }
      }
      partial.verify(shownUrl(url));
      return;
    } catch (error) {
      if (error instanceof WrongContent) {
        // A partial file that went wrong, or a proxy's hiccup: worth one clean beginning.
        await partial.restart();
        entityTag = undefined;
        if (++refusals > 1) throw error.final(subject);
        continue;
      }
      if (partial.sizeBytes - before >= PROGRESS_BYTES) retries.reset();
      await retries.waitAfter(error, describeSubject(subject), shownUrl(url));
    }
  }
}

/** Writes one response into the partial file. */
async function receive({ file, onBytes }: BlobRequest, partial: PartialFile, exchange: Exchange): Promise<void> {
  const { status, headers, url } = exchange;
  if (isOtherHash(exchange.linkedEtag, file.blobId)) {
    throw new WrongContent(url, `the hash ${exchange.linkedEtag}`, `${file.blobId} as in the file list`);
  }
  if (exchange.linkedSize !== undefined && exchange.linkedSize !== file.sizeBytes) {
    throw new WrongContent(url, `${exchange.linkedSize} bytes`, `${file.sizeBytes} bytes as in the file list`);
  }
  if (status === 206) {
    const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get('content-range') ?? '') ?? [];
    if (Number(start) !== partial.sizeBytes || (total !== '*' && Number(total) !== file.sizeBytes)) {
      const expected = `bytes from ${partial.sizeBytes} of ${file.sizeBytes}`;
      throw new WrongContent(url, `the range ${JSON.stringify(headers.get('content-range'))}`, expected);
    }
  } else if (status !== 200) {
    throw new WrongContent(url, `status ${status}`, `the bytes from ${partial.sizeBytes}`);
  } else {
    const length =
      (headers.get('content-encoding') ?? 'identity') === 'identity' ? readSize(headers.get('content-length')) : undefined;
    if (length !== undefined && length !== file.sizeBytes) {
      throw new WrongContent(url, `${length} bytes`, `${file.sizeBytes} bytes as in the file list`);
    }
    // The server ignores ranges, or the file behind the address is another one now: it sends all of it.
    await partial.restart();
  }
  for await (const chunk of exchange.chunks()) {
    if (partial.sizeBytes + chunk.length > file.sizeBytes) {
      throw new WrongContent(url, `more than ${file.sizeBytes} bytes`, `${file.sizeBytes} bytes as in the file list`);
    }
    await partial.append(chunk);
    onBytes(partial.sizeBytes);
  }
  if (!partial.complete) throw new Interruption(`the connection ended after ${partial.sizeBytes} of ${file.sizeBytes} bytes`);
}

/** Content that is not what the file list promises. Never leaves this module. */
class WrongContent extends Error {
  readonly url: string;
  readonly came: string;
  readonly expected: string;

  constructor(url: string, came: string, expected: string) {
    super(came);
    this.url = url;
    this.came = came;
    this.expected = expected;
  }

  final(subject: RequestSubject): DownloadError {
    return new DownloadError(
      `resolveRepository: ${describeSubject(subject)} came twice from ${this.url} with ${this.came}; expected ${this.expected}. ` +
        'It was discarded. Run again later, or check whether a proxy or mirror changes files.',
      this.url,
    );
  }
}

/** What has arrived of a blob, on disk, and the hash of it. Does not own the handle. */
class PartialFile {
  readonly #handle: FileHandle;
  readonly #file: RepositoryFile;
  #hash: Hash;
  #sizeBytes = 0;

  constructor(handle: FileHandle, file: RepositoryFile) {
    this.#handle = handle;
    this.#file = file;
    this.#hash = newHash(file);
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get complete(): boolean {
    return this.#sizeBytes === this.#file.sizeBytes;
  }

  /** Takes in what an earlier run left. */
  async hashExisting(onBytes: (bytes: number) => void, abortSignal: AbortSignal | undefined): Promise<void> {
    const { size } = await this.#handle.stat();
    if (size > this.#file.sizeBytes) return this.restart();
    const buffer = Buffer.allocUnsafe(Math.min(size, HASH_CHUNK_BYTES));
    while (this.#sizeBytes < size) {
      abortSignal?.throwIfAborted();
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, this.#sizeBytes);
      if (bytesRead === 0) return;
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.#sizeBytes += bytesRead;
      onBytes(this.#sizeBytes);
    }
  }

  async append(chunk: Uint8Array): Promise<void> {
    // A write may be short, on a disk that is about to be full for one.
    for (let written = 0; written < chunk.length;) {
      const { bytesWritten } = await this.#handle.write(chunk, written, chunk.length - written, this.#sizeBytes);
      this.#hash.update(chunk.subarray(written, written + bytesWritten));
      written += bytesWritten;
      this.#sizeBytes += bytesWritten;
    }
  }

  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = newHash(this.#file);
    this.#sizeBytes = 0;
  }

  /** @throws {WrongContent} when the bytes do not have the hash that names the blob. */
  verify(url: string): void {
    const digest = this.#hash.copy().digest('hex');
    if (digest !== this.#file.blobId) {
      throw new WrongContent(url, `the hash ${digest}`, `${isSha256(this.#file) ? 'SHA-256' : 'git SHA-1'} ${this.#file.blobId}`);
    }
  }
}

/** True for a hash of the same kind with other digits; an etag of another kind says nothing. */
function isOtherHash(etag: string | undefined, blobId: string): boolean {
  return etag !== undefined && etag !== blobId && etag.length === blobId.length && /^[0-9a-f]+$/.test(etag);
}

function isSha256(file: RepositoryFile): boolean {
  return file.blobId.length === 64;
}

/** Large files are named by the SHA-256 of their bytes, small ones by git's SHA-1 of a blob object. */
function newHash(file: RepositoryFile): Hash {
  return isSha256(file) ? createHash('sha256') : createHash('sha1').update(`blob ${file.sizeBytes}\0`);
}

function rangeHeaders(partial: PartialFile, entityTag: string | undefined): Record<string, string> {
  if (partial.sizeBytes === 0) return {};
  return { range: `bytes=${partial.sizeBytes}-`, ...(entityTag === undefined ? {} : { 'if-range': entityTag }) };
}

/** The etag as it was sent; weak ones do not vouch for single bytes. */
function strongEntityTag(headers: Headers): string | undefined {
  const value = headers.get('etag');
  return readEtag(value) === undefined || value?.startsWith('W/') ? undefined : (value ?? undefined);
}

/** Takes over the longest partial file that is there, under a name of this process alone, or begins a new one. */
async function openPartial(blob: string): Promise<{ path: string; handle: FileHandle }> {
  await mkdir(dirname(blob), { recursive: true });
  const path = `${blob}.blip2-${randomBytes(4).toString('hex')}.incomplete`;
  const [longest, ...others] = (await findPartials(blob)).toSorted((a, b) => b.sizeBytes - a.sizeBytes);
  // We hold the lock: whoever wrote these is gone.
  await Promise.all(others.map((other) => rm(other.path, { force: true })));
  if (longest) await rename(longest.path, path);
  const flags = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0);
  return { path, handle: await open(path, flags, 0o666) };
}

async function findPartials(blob: string): Promise<{ path: string; sizeBytes: number }[]> {
  const prefix = `${basename(blob)}.blip2-`;
  const names = await readdir(dirname(blob)).catch(() => []);
  const partials = names
    .filter((name) => name.startsWith(prefix) && name.endsWith('.incomplete'))
    .map((name) => join(dirname(blob), name));
  // Another process may take one over meanwhile; a link is none of ours.
  const found = await Promise.all(partials.map(async (path) => ({ path, stats: await lstat(path).catch(() => undefined) })));
  return found.flatMap(({ path, stats }) => (stats?.isFile() ? [{ path, sizeBytes: stats.size }] : []));
}
