export * from './index.ts';
export { checkpointFolder, type CheckpointFolderOptions } from './checkpoints/checkpoint-folder.ts';
export { createTrainingStep, type TrainingStepSettings } from './steps/create-training-step.ts';
