import type { Progress } from '@blip2/core';

/** Where a command writes. Results go to standard output, everything else to standard error. */
export interface Output {
  /** One result: a JSON line with `--json`, the text otherwise. */
  result(fields: Readonly<Record<string, unknown>>, text: string): void;
  /** A remark for the person at the terminal. */
  note(text: string): void;
  /** Whether somebody sees lines move. */
  readonly isTerminal: boolean;
  /** Shows how far the work is; draws only on a terminal. */
  progress(label: string, share: number): void;
  /** Takes the progress line away. */
  endProgress(): void;
}

/** Streams a command needs; a test passes its own. */
export interface Streams {
  readonly out: { write(text: string): unknown };
  readonly error: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number };
}

const BAR_WIDTH = 24;

/** The output of one run of the command. */
export function createOutput({ out, error }: Streams, json: boolean): Output {
  let drawn = false;
  const endProgress = (): void => {
    if (drawn) error.write('\r\u001B[K');
    drawn = false;
  };
  return {
    isTerminal: error.isTTY === true,
    result(fields, text) {
      endProgress();
      out.write(`${json ? JSON.stringify(fields) : text}\n`);
    },
    note(text) {
      endProgress();
      error.write(`${text}\n`);
    },
    progress(label, share) {
      if (error.isTTY !== true) return;
      const filled = Math.round(BAR_WIDTH * Math.min(1, Math.max(0, share)));
      const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
      const line = `${bar} ${String(Math.floor(100 * share)).padStart(3)} % ${label}`;
      error.write(`\r\u001B[K${line.slice(0, (error.columns ?? 80) - 1)}`);
      drawn = true;
    },
    endProgress,
  };
}

/** A listener for loading and downloading progress. */
export function progressListener(output: Output): (progress: Progress) => void {
  return ({ phase, part, loadedBytes, totalBytes }) => {
    const share = totalBytes === 0 ? 1 : loadedBytes / totalBytes;
    output.progress(`${phase === 'download' ? 'downloading' : 'loading'} ${part}`, share);
    if (loadedBytes >= totalBytes) output.endProgress();
  };
}
