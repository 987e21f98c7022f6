export * from './index.ts';
export { convertCheckpoint, type Conversion, type ConversionSummary, type ConvertOptions } from './node/convert-checkpoint.ts';
export type { ConversionDtype } from './node/plan-conversion.ts';
export { syncFolder, writePending, type PendingFile } from './node/atomic-write.ts';
export { fileProblem } from './node/file-problem.ts';
export { writeNewFolder } from './node/new-folder.ts';
export { lockIfFree, type BlobLock } from './hub/blob-lock.ts';
export { layOutSafetensors, type SafetensorsLayout, type TensorDescription } from './safetensors/encode-safetensors.ts';
export { openFileByteSource } from './node/file-byte-source.ts';
export { openCheckpointFolder, openSafetensorsFile, type OpenFolderOptions } from './node/open-folder.ts';
export {
  writeSafetensorsFile,
  writeWeights,
  type NamedTensorData,
  type TensorToStore,
  type WriteFolderOptions,
  type WriteOptions,
} from './node/write-weights.ts';
export { openCheckpoint, type OpenCheckpointOptions } from './node/open-checkpoint.ts';
export {
  defaultCacheFolder,
  HUB_ENDPOINT,
  isModelFile,
  isRepositoryId,
  OFFICIAL_REPOSITORIES,
  resolveRepository,
  type FileSelection,
  type HubOptions,
  type OfficialRepository,
  type OfficialRepositoryId,
} from './hub/index.ts';
