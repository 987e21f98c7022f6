export * from './index.ts';
export { checkpointFolder, type CheckpointFolderOptions } from './checkpoints/checkpoint-folder.ts';
