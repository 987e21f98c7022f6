import { DownloadError } from '@blip2/core';
import { Interruption } from './retry.ts';
import type { HubSettings } from './hub-settings.ts';

const LONGEST_REDIRECT_CHAIN = 10;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** One request, answered: the final response after redirects, and what the Hub said about the file on the way. */
export interface Exchange {
  readonly status: number;
  readonly headers: Headers;
  /** Address that answered, without its query: signed addresses carry secrets there. */
  readonly url: string;
  /** Hash of a large file, from the Hub's redirect. */
  readonly linkedEtag: string | undefined;
  /** Size of a large file, from the Hub's redirect, bytes. */
  readonly linkedSize: number | undefined;
  /** The body as it arrives. @throws {Interruption} when the connection is cut or silent. */
  chunks(): AsyncGenerator<Uint8Array>;
  /** Gives the connection back. To be called once, whatever happened. */
  close(): Promise<void>;
}

/**
 * Sends one GET request and follows its redirects by hand, so that the access token goes to the endpoint's origin and to
 * nobody else, whatever implementation of `fetch` is underneath.
 *
 * @param url - Where to begin.
 * @param headers - Further headers, for example `range`.
 * @throws {Interruption} when there is no answer.
 * @throws {DownloadError} for a redirect that leads nowhere.
 * Rejects with the signal's reason on abort.
 */
export async function openExchange(
  settings: HubSettings,
  url: URL,
  headers: Readonly<Record<string, string>>,
  abortSignal: AbortSignal | undefined,
): Promise<Exchange> {
  const watch = new ConnectionWatch(settings.idleTimeoutMs, abortSignal);
  let address = url;
  let linkedEtag: string | undefined;
  let linkedSize: number | undefined;
  try {
    for (let redirects = 0; ; redirects += 1) {
      const response = await settings.fetch(address, {
        headers: requestHeaders(settings, address, headers),
        redirect: 'manual',
        signal: watch.signal,
      });
      watch.touch();
      linkedEtag ??= readEtag(response.headers.get('x-linked-etag'));
      linkedSize ??= readSize(response.headers.get('x-linked-size'));
      const location = REDIRECTS.has(response.status) ? response.headers.get('location') : null;
      if (location === null) return new OpenExchange(response, address, linkedEtag, linkedSize, watch);
      await response.body?.cancel();
      address = nextAddress(address, location, redirects);
    }
  } catch (error) {
    watch.end();
    if (error instanceof DownloadError) throw error;
    throw watch.explain(error);
  }
}

/** An address that may stand in a message: without query, fragment and credentials. */
export function shownUrl(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/** An etag without quotes and weakness mark, `undefined` for none. */
export function readEtag(value: string | null): string | undefined {
  return value?.replace(/^W\//, '').replace(/^"(.*)"$/, '$1') || undefined;
}

/** A count of bytes from a header, `undefined` for none or nonsense. */
export function readSize(value: string | null): number | undefined {
  return value !== null && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

class OpenExchange implements Exchange {
  readonly status: number;
  readonly headers: Headers;
  readonly url: string;
  readonly linkedEtag: string | undefined;
  readonly linkedSize: number | undefined;
  readonly #response: Response;
  readonly #watch: ConnectionWatch;

  constructor(
    response: Response,
    address: URL,
    linkedEtag: string | undefined,
    linkedSize: number | undefined,
    watch: ConnectionWatch,
  ) {
    this.status = response.status;
    this.headers = response.headers;
    this.url = shownUrl(address);
    this.linkedEtag = linkedEtag;
    this.linkedSize = linkedSize;
    this.#response = response;
    this.#watch = watch;
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    const reader = this.#response.body?.getReader();
    try {
      for (;;) {
        const part = await reader?.read();
        if (!part || part.done) return;
        this.#watch.touch();
        yield part.value;
      }
    } catch (error) {
      throw this.#watch.explain(error);
    } finally {
      reader?.releaseLock();
    }
  }

  async close(): Promise<void> {
    this.#watch.end();
    // Already read, locked or broken bodies refuse to be cancelled; they hold no connection either.
    await this.#response.body?.cancel().catch(() => undefined);
  }
}

/** Cuts a connection on abort and on silence, and knows afterwards which of the two it was. */
class ConnectionWatch {
  readonly #controller = new AbortController();
  readonly #abortSignal: AbortSignal | undefined;
  readonly #idleTimeoutMs: number;
  readonly #timer: NodeJS.Timeout;
  #silent = false;

  constructor(idleTimeoutMs: number, abortSignal: AbortSignal | undefined) {
    abortSignal?.throwIfAborted();
    this.#abortSignal = abortSignal;
    this.#idleTimeoutMs = idleTimeoutMs;
    abortSignal?.addEventListener('abort', this.#onAbort, { once: true });
    this.#timer = setTimeout(() => {
      this.#silent = true;
      this.#controller.abort();
    }, idleTimeoutMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Something has arrived: the silence begins anew. */
  touch(): void {
    if (!this.#silent) this.#timer.refresh();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#abortSignal?.removeEventListener('abort', this.#onAbort);
  }

  /** What an error of the connection means: the caller's abort reason, unwrapped, or an interruption. */
  explain(error: unknown): unknown {
    if (this.#abortSignal?.aborted) return this.#abortSignal.reason;
    if (this.#silent) return new Interruption(`nothing arrived for ${this.#idleTimeoutMs / 1000} s`, { cause: error });
    return new Interruption(describeFailure(error), { cause: error });
  }

  readonly #onAbort = (): void => this.#controller.abort(this.#abortSignal?.reason);
}

function requestHeaders(settings: HubSettings, address: URL, headers: Readonly<Record<string, string>>): Record<string, string> {
  const own = address.origin === settings.endpoint.origin;
  return {
    // A compressed body has another length than the file, and no byte ranges.
    'accept-encoding': 'identity',
    'user-agent': 'blip2.js',
    ...headers,
    ...(own && settings.token !== undefined ? { authorization: `Bearer ${settings.token}` } : {}),
  };
}

function nextAddress(from: URL, location: string, redirects: number): URL {
  const url = shownUrl(from);
  const next = URL.parse(location, from);
  if (redirects >= LONGEST_REDIRECT_CHAIN) {
    throw new DownloadError(
      `resolveRepository: ${url} redirects for the ${redirects + 1}th time; expected at most ${LONGEST_REDIRECT_CHAIN} redirects. ` +
        'Check HF_ENDPOINT and the proxy.',
      url,
    );
  }
  if (!next || !/^https?:$/.test(next.protocol)) {
    throw new DownloadError(
      `resolveRepository: ${url} redirects to ${next ? `a ${next.protocol} address` : 'something that is no address'}; ` +
        'expected http or https. Check HF_ENDPOINT and the proxy.',
      url,
    );
  }
  return next;
}

/** The innermost reason of a failed fetch, such as `ECONNREFUSED`. */
function describeFailure(error: unknown): string {
  let reason: unknown = error;
  while (reason instanceof Error && reason.cause instanceof Error) reason = reason.cause;
  if (!(reason instanceof Error)) return 'the connection failed';
  const code = (reason as NodeJS.ErrnoException).code;
  return code === undefined || reason.message.includes(code)
    ? reason.message || code || reason.name
    : `${reason.message} (${code})`;
}
