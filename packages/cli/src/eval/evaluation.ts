import type { BenchmarkRun, ScoredItem } from '@blip2/eval';
import type { CommonValues, Session } from '../session.ts';
import type { EvalValues } from './eval-options.ts';

/** What every benchmark of the command is given. */
export interface EvaluationInput {
  readonly values: EvalValues & CommonValues;
  readonly session: Session;
}

/** A benchmark that was scored. */
export interface Evaluation {
  readonly run: Omit<BenchmarkRun, 'date' | 'versions'>;
  /** An item's picture, encoded, for a page; absent where the images are not at hand. */
  readonly readImage?: (item: ScoredItem) => Promise<Uint8Array | undefined>;
  /** Writes what the model predicted into a folder, in the official form; absent where it came in a file. */
  readonly writePredictions?: (folder: string) => Promise<void>;
}
