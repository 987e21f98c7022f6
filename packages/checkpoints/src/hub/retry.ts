import { DownloadError } from '@blip2/core';

/** How often and how patiently a request is repeated. */
export interface RetryPolicy {
  /** Tries in a row that bring nothing, after which the error is final. */
  readonly attempts: number;
  /** Pause after the first failure, milliseconds; doubles with each further one. */
  readonly firstDelayMs: number;
  readonly longestDelayMs: number;
  /** A server that asks for a longer pause than this is not waited for, milliseconds. */
  readonly longestRetryAfterMs: number;
}

/** Five tries within about eight seconds, and up to a minute where the server asks for it. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  attempts: 5,
  firstDelayMs: 500,
  longestDelayMs: 8_000,
  longestRetryAfterMs: 60_000,
};

/** A failure that another try may mend: a cut connection, silence, a busy or broken server. Never leaves this folder. */
export class Interruption extends Error {
  /** HTTP status, where there was an answer. */
  readonly status: number | undefined;
  /** Pause that the server asked for, milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, details: { status?: number; retryAfterMs?: number; cause?: unknown } = {}) {
    super(message, { cause: details.cause });
    this.name = 'Interruption';
    this.status = details.status;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** Counts failures in a row, pauses between them and says when it is enough. */
export class Retries {
  readonly #policy: RetryPolicy;
  readonly #abortSignal: AbortSignal | undefined;
  #failures = 0;

  constructor(policy: RetryPolicy, abortSignal: AbortSignal | undefined) {
    this.#policy = policy;
    this.#abortSignal = abortSignal;
  }

  /** Forgets earlier failures, because the last try brought something. */
  reset(): void {
    this.#failures = 0;
  }

  /**
   * Counts a failure and waits before the next try.
   *
   * @param what - What was being fetched, for the message.
   * @param url - Address without query.
   * @throws {DownloadError} when there will be no next try. Anything but an {@link Interruption} is thrown as it is.
   */
  async waitAfter(failure: unknown, what: string, url: string): Promise<void> {
    this.#abortSignal?.throwIfAborted();
    if (!(failure instanceof Interruption)) throw failure;
    this.#failures += 1;
    const { attempts, firstDelayMs, longestDelayMs, longestRetryAfterMs } = this.#policy;
    const requested = failure.retryAfterMs ?? 0;
    if (this.#failures >= attempts || requested > longestRetryAfterMs) throw this.#final(failure, what, url);
    const backoff = Math.min(longestDelayMs, firstDelayMs * 2 ** (this.#failures - 1));
    await delay(Math.max(requested, backoff), this.#abortSignal);
  }

  #final(failure: Interruption, what: string, url: string): DownloadError {
    const times = this.#failures === 1 ? 'once, with' : `${this.#failures} times in a row, last with`;
    const seconds = Math.ceil((failure.retryAfterMs ?? 0) / 1000);
    let advice =
      'Check the network, the proxy and HF_ENDPOINT and run again: what has arrived is kept. HF_HUB_OFFLINE=1 uses the cache only.';
    if (failure.status === 429) {
      advice = `Wait ${seconds > 0 ? `${seconds} seconds` : 'some minutes'} and run again: what has arrived is kept. HF_TOKEN raises the limit.`;
    } else if (failure.status !== undefined) {
      advice = 'The server is at fault: run again later; what has arrived is kept.';
    }
    return new DownloadError(
      `resolveRepository: fetching ${what} from ${url} failed ${times}: ${failure.message}; expected the complete file. ${advice}`,
      url,
      failure.status,
      { cause: failure },
    );
  }
}

/** Resolves after the given time; rejects with the signal's reason as soon as it is aborted. */
export async function delay(milliseconds: number, abortSignal: AbortSignal | undefined): Promise<void> {
  abortSignal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(abortSignal?.reason);
    };
    const timer = setTimeout(() => {
      abortSignal?.removeEventListener('abort', onAbort);
      resolve();
    }, milliseconds);
    abortSignal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** True for the error of a server that could not be reached or did not work, as opposed to one that refused. */
export function isUnreachable(error: unknown): boolean {
  return DownloadError.isInstance(error) && error.cause instanceof Interruption;
}

/** Reads a `Retry-After` header, seconds or a date, or the reset time of a `RateLimit` header. Milliseconds. */
export function retryAfterMs(headers: Headers, now: number = Date.now()): number | undefined {
  const value = headers.get('retry-after')?.trim();
  if (value) {
    const time = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
    if (!Number.isNaN(time)) return Math.max(0, time);
  }
  const reset = /(?:^|;)\s*t=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1];
  return reset === undefined ? undefined : Number(reset) * 1000;
}
