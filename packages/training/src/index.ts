export {
  constantSchedule,
  lavisSchedule,
  type LavisScheduleOptions,
  type Schedule,
  warmupCosine,
  type WarmupCosineOptions,
} from './schedules/schedules.ts';
export { type ByParameter, decaysInLavis, layerwiseRates, type LayerwiseRatesOptions } from './groups/groups.ts';
export { progressText } from './logs/progress-text.ts';
export { trainingReport, type TrainingReportOptions } from './logs/report/training-report.ts';
export { batchLists, type BatchSource, type JsonValue } from './trainer/batch-source.ts';
export type { BestEvaluation, CheckpointStore, TrainingCheckpoint, TrainingCounts } from './trainer/checkpoint-store.ts';
export { train } from './trainer/train.ts';
export type { TrainingResult, TrainOptions } from './trainer/train-options.ts';
export {
  accumulated,
  type AccumulatingStep,
  type StepReport,
  type StepState,
  type TrainableStep,
} from './trainer/trainable-step.ts';
export type { TrainingLogger, TrainingOutcome, TrainingProgress, TrainingRecord } from './trainer/training-log.ts';
export { indexedBatches, type IndexedBatchesOptions } from './batches/indexed-batches.ts';
export {
  type HostOptTexts,
  type HostT5Texts,
  type HostText,
  optTexts,
  qformerTexts,
  type T5TextLengths,
  t5Texts,
} from './batches/text-batches.ts';
export { type NamedTensor, namedTensors } from './parameters/named-tensors.ts';
export { type ByPath, separateParameters, type SeparatedParameters } from './parameters/separate-parameters.ts';
export {
  drawDropoutPool,
  type DropoutOptions,
  stageOneDropoutPool,
  type StageOneSizes,
  stageTwoDropoutPool,
  type StageTwoSizes,
} from './recipes/dropout-pool.ts';
export {
  captionLoss,
  encodeStageOne,
  type NegativeDraws,
  pairLoss,
  type StageOneBatch,
  type StageOneFeatures,
  stageOneLoss,
  type StageOneOptions,
} from './recipes/stage-one.ts';
export {
  languageLoss,
  type LanguageModelParams,
  type OptTexts,
  type StageTwoBatch,
  stageTwoLoss,
  type T5Texts,
  visualPrompt,
} from './recipes/stage-two.ts';
export { createEagerStep, type EagerRunOptions, EagerStep, type EagerStepOptions } from './steps/eager-step.ts';
export { initialQFormer, type InitialQFormerOptions } from './parameters/initial-qformer.ts';
