/** Numbers of one step, or of the evaluation after it. */
export interface TrainingRecord {
  readonly kind: 'training' | 'evaluation';
  /** Counted from 1: the steps taken. */
  readonly step: number;
  /** When it was known, in milliseconds since 1970. */
  readonly timeMs: number;
  /** `loss`, `gradientNorm`, `learningRate` and the step's metrics; or what the evaluation returned. Some may be NaN or infinite. */
  readonly values: Readonly<Record<string, number>>;
}

/** Where a run stands. */
export interface TrainingProgress {
  readonly step: number;
  readonly totalSteps: number;
  readonly learningRate: number;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** Of the last steps of this run, with saving and evaluation. Absent before the second step. */
  readonly stepsPerSecond?: number;
  /** Absent without `samplesPerStep`. */
  readonly samplesPerSecond?: number;
  /** By the present rate. */
  readonly remainingSeconds?: number;
  readonly skippedSteps: number;
}

/** Takes what a run reports. Every part may be left out; promises are awaited. */
export interface TrainingLogger {
  /**
   * Called once before the first step.
   * @param step - Steps that a checkpoint had: 0 for a new run. What was logged of later ones is out of date.
   */
  begin?(step: number): void | Promise<void>;
  /** Called for each record, in the order of steps. */
  log?(record: TrainingRecord): void | Promise<void>;
  /** Called after each step. */
  progress?(progress: TrainingProgress): void | Promise<void>;
  /** Called before a checkpoint is saved: what was logged has to be in its file, because it will not come again. */
  flush?(): void | Promise<void>;
  /** Called once at the end, also after an error. */
  close?(outcome: TrainingOutcome): void | Promise<void>;
}

/** How a run ended. */
export type TrainingOutcome = 'complete' | 'aborted' | 'failed';
