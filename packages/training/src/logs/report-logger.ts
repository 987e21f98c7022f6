import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writePending } from '@blip2/checkpoints/node';
import type { TrainingLogger } from '../trainer/training-log.ts';
import { readTrainingLog } from './json-lines.ts';
import { trainingReport, type TrainingReportOptions } from './report/training-report.ts';

/** Options of {@link reportLogger}. */
export interface ReportLoggerOptions extends Omit<TrainingReportOptions, 'outcome'> {
  /** The file of `jsonLinesLogger`, which knows what was logged before the program began. */
  readonly log: string;
}

/**
 * Writes the report of a run when it ends, is aborted, or fails; see `trainingReport`.
 *
 * @param path - Of the page; it and its folder are made.
 */
export function reportLogger(path: string, { log, ...options }: ReportLoggerOptions): TrainingLogger {
  let begun = false;
  return {
    begin() {
      begun = true;
    },
    async close(outcome) {
      if (!begun) return;
      const page = trainingReport(await readTrainingLog(log), { ...options, outcome });
      await mkdir(dirname(path), { recursive: true });
      await (await writePending(path, (append) => append(new TextEncoder().encode(page)))).commit();
    },
  };
}
