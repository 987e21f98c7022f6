import { Blip2Error, DownloadError } from '@blip2/core';

/** How requests are sent. */
export interface HttpOptions {
  /** Replaces the global `fetch`: to add credentials, a proxy or a cache. */
  readonly fetch?: typeof globalThis.fetch;
  /** Sent with every request, for example `authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Tries of one request. Connections are cut and servers are busy now and then; a range is cheap to ask for again. */
const ATTEMPTS = 3;
const FIRST_PAUSE_MS = 200;

/** Answers that may be different in a moment. */
const BUSY: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** The URL without its query, where signed addresses carry secrets, for messages. */
export function shownUrl(url: string): string {
  return url.replace(/[?#].*$/, '');
}

/**
 * Sends a GET request and reads its answer; tries again when the connection breaks or the server is busy.
 *
 * @param read - Reads the body as far as wanted. It runs again when its connection breaks.
 * @throws {DownloadError} when it failed three times.
 * Rejects with the signal's reason on abort.
 */
export async function request<Result>(
  http: HttpOptions,
  url: string,
  headers: Readonly<Record<string, string>>,
  abortSignal: AbortSignal | undefined,
  read: (response: Response) => Promise<Result>,
): Promise<Result> {
  const { fetch = globalThis.fetch } = http;
  for (let attempt = 1; ; attempt++) {
    abortSignal?.throwIfAborted();
    let failure: DownloadError;
    try {
      const response = await fetch(url, { headers: { ...http.headers, ...headers }, signal: abortSignal });
      if (!BUSY.has(response.status)) return await read(response);
      failure = refusal(url, response.status);
      await response.body?.cancel();
    } catch (cause) {
      abortSignal?.throwIfAborted();
      if (Blip2Error.isInstance(cause) && !(cause instanceof BrokenBody)) throw cause;
      failure = brokenConnection(url, cause);
    }
    if (attempt === ATTEMPTS) throw failure;
    await pause(FIRST_PAUSE_MS * 2 ** (attempt - 1), abortSignal);
  }
}

/** A body that ended before its announced length: worth another try. */
export class BrokenBody extends DownloadError {}

/** An answer that is an error, in words. */
export function refusal(url: string, status: number): DownloadError {
  const cure =
    status === 401 || status === 403
      ? 'Check that the address is right and that its headers or its signature allow reading.'
      : 'Check the address, or try again later.';
  return new DownloadError(
    `${shownUrl(url)}: the server answered with status ${status}, expected the file. ${cure}`,
    shownUrl(url),
    status,
  );
}

/**
 * True for an answer that means "no such file". Development servers answer with their start page instead of 404.
 */
export function isMissing(response: Response): boolean {
  const isPage = response.ok && (response.headers.get('content-type') ?? '').startsWith('text/html');
  return response.status === 404 || response.status === 410 || isPage;
}

function brokenConnection(url: string, cause: unknown): DownloadError {
  const detail = cause instanceof Error ? cause.message : String(cause);
  const reason = cause instanceof Error && cause.cause instanceof Error ? `${detail}: ${cause.cause.message}` : detail;
  return new DownloadError(
    `${shownUrl(url)}: the connection failed ${ATTEMPTS} times (${reason}), expected the file. ` +
      `Check the address and the network; a page may only read servers that allow it (CORS).`,
    shownUrl(url),
    undefined,
    { cause },
  );
}

async function pause(milliseconds: number, abortSignal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(abortSignal!.reason as Error);
    };
    const timer = setTimeout(() => {
      abortSignal?.removeEventListener('abort', onAbort);
      resolve();
    }, milliseconds);
    abortSignal?.addEventListener('abort', onAbort, { once: true });
  });
}
