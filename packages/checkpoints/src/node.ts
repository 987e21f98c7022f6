export * from './index.ts';
export { convertCheckpoint, type Conversion, type ConversionSummary, type ConvertOptions } from './node/convert-checkpoint.ts';
export type { ConversionDtype } from './node/plan-conversion.ts';
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
