export * from './index.ts';
export { checkpointFolder, type CheckpointFolderOptions } from './checkpoints/checkpoint-folder.ts';
export { trainingFolder, type TrainingFolderOptions } from './checkpoints/training-folder.ts';
export { jsonLinesLogger, readTrainingLog } from './logs/json-lines.ts';
export { type LineStream, progressLine, type ProgressLineOptions } from './logs/progress-line.ts';
export { reportLogger, type ReportLoggerOptions } from './logs/report-logger.ts';
export { tensorBoardLogger } from './logs/tensorboard.ts';
export { createTrainingStep, type TrainingStepSettings } from './steps/create-training-step.ts';
