import type { JsonValue } from './batch-source.ts';
import type { StepState } from './trainable-step.ts';

/** The best evaluation so far. */
export interface BestEvaluation {
  readonly metric: string;
  readonly value: number;
  readonly step: number;
}

/** What the loop counts. */
export interface TrainingCounts {
  /** Steps whose loss or gradient was not finite. */
  readonly skippedSteps: number;
  /** How many of them came last, in a row. */
  readonly skippedInARow: number;
  readonly best?: BestEvaluation;
  /** True when the run was aborted before the evaluation of this step. */
  readonly evaluationDue?: boolean;
}

/** All that a run is between two steps. */
export interface TrainingCheckpoint {
  /** Batches that were used up, skipped ones included. */
  readonly step: number;
  readonly state: StepState;
  /** Of the batches. */
  readonly position: JsonValue;
  readonly counts: TrainingCounts;
}

/** Where checkpoints are kept. `checkpointFolder` of the Node entry is one. */
export interface CheckpointStore {
  /** The newest whole checkpoint, or nothing. */
  load(): Promise<TrainingCheckpoint | undefined>;
  /** Keeps one, and lets old ones go. What was there stays until the new one is whole. */
  save(checkpoint: TrainingCheckpoint): Promise<void>;
}
