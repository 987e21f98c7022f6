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

/** Keeps the promises of {@link Progress}: clamps, never goes back, completes once. */
export class ProgressReporter {
  readonly totalBytes: number;
  #loadedBytes = 0;
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
    this.#listener?.({ phase: this.#phase, part, loadedBytes: this.#loadedBytes, totalBytes: this.totalBytes });
  }

  /** Reports the end, unless the last event already did. */
  complete(part: string): void {
    if (this.#loadedBytes < this.totalBytes || this.totalBytes === 0) this.add(part, this.totalBytes - this.#loadedBytes);
  }
}
