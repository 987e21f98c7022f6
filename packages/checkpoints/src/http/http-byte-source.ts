import { CheckpointError, DownloadError } from '@blip2/core';
import { guardedSource, type ByteSource, type ReadOptions } from '../bytes/byte-source.ts';
import { BrokenBody, isMissing, refusal, request, shownUrl, type HttpOptions } from './http-client.ts';

/** A file on a server, and how much of it has to come before it can be used. */
export interface HttpFile {
  readonly source: ByteSource;
  /** Bytes that opening the file takes: its beginning, or all of it from a server that sends no ranges. */
  readonly openingBytes: number;
  /** How many of them are here already. */
  readonly arrivedBytes: number;
  /** Called with the number of bytes whenever more of them arrive. */
  onArrival: ((bytes: number) => void) | undefined;
}

/** The first request asks for this much: enough for every header seen so far, so that none costs a second request. */
const FIRST_BYTES = 1024 * 1024;

/**
 * Opens a file on a server for random access. One request tells whether the file exists, whether the server sends
 * ranges, and how large the file is, and brings the beginning. Where the server ignores ranges, the whole file is downloaded once, by
 * the first read, into a `Blob`, which browsers keep on disk.
 *
 * @returns `undefined` when there is no such file.
 * @throws {DownloadError} when the server refuses or the connection fails again and again.
 */
export async function openHttpFile(http: HttpOptions, url: string, options: ReadOptions): Promise<HttpFile | undefined> {
  const { abortSignal } = options;
  const range = { range: `bytes=0-${FIRST_BYTES - 1}` };
  return request(http, url, range, abortSignal, async (response) => {
    const total = response.status === 206 ? totalOf(response) : undefined;
    if (total !== undefined) {
      const beginning = new Uint8Array(await response.arrayBuffer());
      if (beginning.length !== Math.min(FIRST_BYTES, total)) throw truncated(url, Math.min(FIRST_BYTES, total), beginning.length);
      return rangedFile(http, url, total, response.headers.get('etag'), beginning);
    }
    if (response.ok && response.status !== 206 && !isMissing(response)) return wholeFile(http, url, response, abortSignal);
    await response.body?.cancel();
    if (isMissing(response)) return undefined;
    // 416: an empty file has no range. 206 without a total: the page may not see the header of another origin.
    if (response.status !== 206 && response.status !== 416) throw refusal(url, response.status);
    return request(http, url, {}, abortSignal, async (whole) => {
      if (whole.ok) return wholeFile(http, url, whole, abortSignal);
      await whole.body?.cancel();
      throw refusal(url, whole.status);
    });
  });
}

/**
 * The bytes of one file on a server, by range requests where the server has them.
 *
 * @throws {DownloadError} when there is no such file, the server refuses or the connection fails again and again.
 *
 * @example
 * const file = await openSafetensors(await byteSourceFromUrl('https://example.org/features.safetensors'));
 */
export async function byteSourceFromUrl(url: string | URL, options: HttpOptions & ReadOptions = {}): Promise<ByteSource> {
  const file = await openHttpFile(options, String(url), options);
  if (file === undefined) throw refusal(String(url), 404);
  return file.source;
}

function rangedFile(http: HttpOptions, url: string, size: number, etag: string | null, beginning: Uint8Array): HttpFile {
  const readRange = async (offset: number, length: number, { abortSignal }: ReadOptions): Promise<Uint8Array> => {
    if (offset + length <= beginning.length) return beginning.slice(offset, offset + length);
    const headers = { range: `bytes=${offset}-${offset + length - 1}` };
    return request(http, url, headers, abortSignal, async (response) => {
      if (response.status !== 206) {
        await response.body?.cancel();
        throw response.ok ? changed(url) : refusal(url, response.status);
      }
      const current = response.headers.get('etag');
      if ((etag !== null && current !== null && current !== etag) || totalOf(response) !== size) {
        await response.body?.cancel();
        throw changed(url);
      }
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (bytes.length !== length) throw truncated(url, length, bytes.length);
      return bytes;
    });
  };
  const { length } = beginning;
  return {
    source: guardedSource(shownUrl(url), size, { readRange }),
    openingBytes: length,
    arrivedBytes: length,
    onArrival: undefined,
  };
}

/** A file that comes in one piece. Without an announced length it has to come before its size is known. */
async function wholeFile(
  http: HttpOptions,
  url: string,
  first: Response,
  abortSignal: AbortSignal | undefined,
): Promise<HttpFile> {
  const announced =
    first.headers.get('content-encoding') === null ? Number(first.headers.get('content-length') ?? Number.NaN) : Number.NaN;
  const early = Number.isSafeInteger(announced) ? undefined : await bodyAsBlob(first, () => undefined);
  const size = early?.size ?? announced;
  const file: { onArrival: HttpFile['onArrival'] } = { onArrival: undefined };
  let pending: Response | undefined = early === undefined ? first : undefined;
  let arrived = 0;
  const download = async (): Promise<Blob> =>
    request({ ...http, fetch: firstThen(() => pending, http.fetch) }, url, {}, abortSignal, async (response) => {
      pending = undefined;
      let received = 0;
      const blob = await bodyAsBlob(response, (bytes) => {
        received += bytes;
        if (received > arrived) file.onArrival?.(received - arrived); // a second try brings again what is here
        arrived = Math.max(arrived, received);
      });
      if (blob.size !== size) throw truncated(url, size, blob.size);
      return blob;
    });
  let content: Promise<Blob> | undefined = early === undefined ? undefined : Promise.resolve(early);
  const readRange = async (offset: number, length: number): Promise<Uint8Array> => {
    content ??= download().catch((cause: unknown) => {
      content = undefined; // the next read tries again
      throw cause;
    });
    const slice = (await content).slice(offset, offset + length);
    return new Uint8Array(await slice.arrayBuffer());
  };
  const close = (): void => {
    content = undefined;
    pending?.body?.cancel().catch(() => undefined);
  };
  const source = guardedSource(shownUrl(url), size, { readRange, close });
  return Object.assign(file, { source, openingBytes: size, arrivedBytes: early?.size ?? 0 });
}

/** A `fetch` that first gives the response that is already open. */
function firstThen(open: () => Response | undefined, fetch: HttpOptions['fetch'] = globalThis.fetch): typeof globalThis.fetch {
  return async (input, init) => open() ?? fetch(input, init);
}

async function bodyAsBlob(response: Response, onBytes: (bytes: number) => void): Promise<Blob> {
  if (response.body === null) return new Blob([]);
  const meter = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      onBytes(chunk.length);
      controller.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(meter)).blob();
}

/** The file's size from `Content-Range: bytes 0-99/1000`. */
function totalOf(response: Response): number | undefined {
  const total = /^bytes \d+-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
  return total === undefined ? undefined : Number(total);
}

function truncated(url: string, expected: number, found: number): DownloadError {
  const message = `${shownUrl(url)}: ${found} bytes came, expected ${expected}. The connection was cut; try again.`;
  return new BrokenBody(message, shownUrl(url));
}

function changed(url: string): CheckpointError {
  const message = `${shownUrl(url)}: the file on the server is not the one that was opened. It changed meanwhile; open the checkpoint again.`;
  return new CheckpointError(message, shownUrl(url));
}
