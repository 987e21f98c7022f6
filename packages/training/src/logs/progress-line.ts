import type { TrainingLogger, TrainingProgress } from '../trainer/training-log.ts';
import { progressText } from './progress-text.ts';

/** What a progress line is written to; `process.stderr` is one. */
export interface LineStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Options of {@link progressLine}. */
export interface ProgressLineOptions {
  /** @default process.stderr */
  readonly stream?: LineStream;
  /** At least so long between two lines; the last step has one always. @default 0.1 on a terminal, which keeps one line, 10 elsewhere */
  readonly everySeconds?: number;
}

/** Goes to the beginning of the line and clears it. */
const CLEAR = '\r\u001B[2K';

/**
 * A line that says where the run stands. On a terminal it is written over itself; elsewhere a new one comes now and then. It writes
 * when a step ends and has no timer.
 *
 * @example
 * await train({ step, batches, schedule, totalSteps, loggers: [progressLine()] });
 */
export function progressLine(options: ProgressLineOptions = {}): TrainingLogger {
  const { stream = process.stderr } = options;
  const live = stream.isTTY === true;
  const everyMs = 1000 * (options.everySeconds ?? (live ? 0.1 : 10));
  let shown = Number.NEGATIVE_INFINITY;
  let last: TrainingProgress | undefined;
  let lastIsShown = true;
  const show = (progress: TrainingProgress): void => {
    stream.write(live ? CLEAR + progressText(progress, (stream.columns ?? 80) - 1) : `${progressText(progress)}\n`);
    lastIsShown = true;
  };
  return {
    progress(progress) {
      last = progress;
      lastIsShown = false;
      const now = performance.now();
      if (now - shown < everyMs) return;
      shown = now;
      show(progress);
    },
    close() {
      if (last !== undefined && !lastIsShown) show(last);
      if (live && last !== undefined) stream.write('\n');
    },
  };
}
