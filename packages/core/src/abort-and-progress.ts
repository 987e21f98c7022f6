/** What every long call accepts. */
export interface RunOptions {
  /** Stops the work; the call rejects with the signal's reason, an `AbortError` by default, unwrapped. */
  readonly abortSignal?: AbortSignal;
  /** Called as work is done. See {@link Progress} for what a listener may rely on. */
  readonly onProgress?: (progress: Progress) => void;
}

/**
 * A progress event. Within one call `loadedBytes` never falls, `totalBytes` is constant, and the last event
 * of a successful call has `loadedBytes === totalBytes`.
 */
export interface Progress {
  readonly phase: 'download' | 'load' | 'run';
  /** What is being worked on: a file, or a part of the model such as `vision encoder`. */
  readonly part: string;
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

/**
 * `work`, or a rejection with the signal's reason as soon as it aborts. The work itself goes on; whoever started it ends it.
 * The listener is removed on every path.
 */
export async function untilAborted<Result>(work: Promise<Result>, abortSignal: AbortSignal | undefined): Promise<Result> {
  if (abortSignal === undefined) return work;
  let stopListening: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    const listener = (): void => reject(abortSignal.reason as Error);
    if (abortSignal.aborted) listener();
    else abortSignal.addEventListener('abort', listener, { once: true });
    stopListening = () => abortSignal.removeEventListener('abort', listener);
  });
  try {
    return await Promise.race([aborted, work]);
  } finally {
    stopListening?.();
  }
}

/**
 * Lets timers, signals and pages have their turn. Eager tensor code never waits for anything, so without this
 * an abort asked for by a timer or a key would be heard only when all the work is done.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(resolve);
      return;
    }
    // Browsers hold nested timers back for 4 ms; messages are not held back.
    const channel = new MessageChannel();
    channel.port1.addEventListener('message', () => {
      channel.port1.close();
      resolve();
    });
    channel.port1.start();
    channel.port2.postMessage(undefined);
  });
}

/** Keeps the promises of {@link Progress}: clamps, never goes back, completes once. */
export class ProgressReporter {
  readonly totalBytes: number;
  #loadedBytes = 0;
  #completed = false;
  readonly #phase: Progress['phase'];
  readonly #listener: RunOptions['onProgress'];

  constructor(phase: Progress['phase'], totalBytes: number, listener: RunOptions['onProgress']) {
    this.#phase = phase;
    this.totalBytes = totalBytes;
    this.#listener = listener;
  }

  /** Counts `bytes` more of `part` as done. */
  add(part: string, bytes: number): void {
    this.#loadedBytes = Math.min(this.totalBytes, this.#loadedBytes + Math.max(0, bytes));
    this.#completed = this.#loadedBytes === this.totalBytes;
    this.#listener?.({ phase: this.#phase, part, loadedBytes: this.#loadedBytes, totalBytes: this.totalBytes });
  }

  /** Reports the end, unless the last event already did. */
  complete(part: string): void {
    if (!this.#completed) this.add(part, this.totalBytes - this.#loadedBytes);
  }
}
