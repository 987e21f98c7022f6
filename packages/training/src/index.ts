export {
  constantSchedule,
  lavisSchedule,
  type LavisScheduleOptions,
  type Schedule,
  warmupCosine,
  type WarmupCosineOptions,
} from './schedules/schedules.ts';
export type { BatchSource, JsonValue } from './trainer/batch-source.ts';
export type { BestEvaluation, CheckpointStore, TrainingCheckpoint, TrainingCounts } from './trainer/checkpoint-store.ts';
export { train } from './trainer/train.ts';
export type { TrainingResult, TrainOptions } from './trainer/train-options.ts';
export type { StepReport, StepState, TrainableStep } from './trainer/trainable-step.ts';
export type { TrainingLogger, TrainingOutcome, TrainingProgress, TrainingRecord } from './trainer/training-log.ts';
