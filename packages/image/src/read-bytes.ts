import { ImageError, untilAborted } from '@blip2/core';
import { DEFAULT_MAX_BYTES, type DecodeImageOptions } from './decode-options.ts';

/** Sources that are bytes already, or that `fetch` and `Blob` read, in every runtime. */
export type ByteSource = URL | Uint8Array | ArrayBuffer | Blob;

/** True for the URLs that `fetch` reads. */
export function isFetchUrl(url: string): boolean {
  return /^(https?|data|blob):/i.test(url);
}

/** How messages call a source. Secrets and long data stay out. */
export function nameOf(source: unknown): string {
  if (source instanceof Uint8Array || source instanceof ArrayBuffer) return `${source.byteLength} bytes in memory`;
  if (source instanceof Blob) return 'name' in source ? String(source.name) : `Blob of ${source.size} bytes`;
  if (typeof source !== 'string' && !(source instanceof URL)) return 'the source';
  const text = String(source);
  if (/^data:/i.test(text)) return `${text.slice(0, 32)}…`;
  return text.replace(/^(https?:\/\/)[^/@]*@/i, '$1'); // user and password
}

/** The class of an object, or the type of a value. */
export function kindOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value;
  return Object.prototype.toString.call(value).slice('[object '.length, -1);
}

/**
 * The bytes of a source; a view of the caller's memory where they are in memory already.
 * @throws {ImageError} when it is too large or cannot be fetched.
 */
export async function readBytes(source: ByteSource | string, where: string, options: DecodeImageOptions): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (source instanceof Blob) {
    assertByteCount(source.size, where, options);
    return new Uint8Array(await untilAborted(source.arrayBuffer(), options.abortSignal));
  }
  return fetchBytes(String(source), where, options);
}

/** @throws {ImageError} when a source is larger than the limit. */
export function assertByteCount(size: number, where: string, { maxBytes = DEFAULT_MAX_BYTES }: DecodeImageOptions): void {
  if (size <= maxBytes) return;
  throw new ImageError(
    `${where}: found ${withCommas(size)} bytes, expected at most ${withCommas(maxBytes)}. ` +
      `Check that this is an image; if you trust it, raise the option maxBytes.`,
  );
}

/** 1234567 as 1,234,567. */
export function withCommas(value: number): string {
  return value.toLocaleString('en-US');
}

async function fetchBytes(url: string, where: string, options: DecodeImageOptions): Promise<Uint8Array> {
  const { abortSignal, fetch: load = fetch } = options;
  const failed = (found: string, cause?: unknown): ImageError =>
    new ImageError(
      `${where}: ${found}, expected an image. Check the address and the connection.`,
      cause === undefined ? undefined : { cause },
    );
  let response: Response;
  try {
    response = await load(url, { signal: abortSignal ?? null });
  } catch (cause) {
    abortSignal?.throwIfAborted();
    throw failed(`the request failed (${reasonOf(cause)})`, cause);
  }
  if (!response.ok) {
    void response.body?.cancel();
    throw failed(`the server answered ${`${response.status} ${response.statusText}`.trim()}`);
  }
  try {
    return await readBody(response, where, options);
  } catch (cause) {
    abortSignal?.throwIfAborted();
    if (ImageError.isInstance(cause)) throw cause;
    throw failed(`the connection broke off (${reasonOf(cause)})`, cause);
  }
}

/** Reads a body piece by piece, so that one without an honest length cannot fill the memory. */
async function readBody(response: Response, where: string, options: DecodeImageOptions): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  const reader = response.body?.getReader();
  try {
    assertByteCount(Number(response.headers.get('content-length') ?? 0), where, options);
    for (;;) {
      const piece = await reader?.read();
      if (piece === undefined || piece.done) break;
      size += piece.value.length;
      assertByteCount(size, where, options);
      pieces.push(piece.value);
    }
  } catch (cause) {
    void reader?.cancel().catch(() => undefined);
    throw cause;
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** Node hides the reason of a failed fetch in `cause`. */
function reasonOf(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = typeof inner === 'object' && inner !== null && 'code' in inner ? String(inner.code) : undefined;
  return code ?? (inner instanceof Error ? inner.message : String(inner));
}
