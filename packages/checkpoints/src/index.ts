export { byteSourceFromBlob, byteSourceFromBytes, type ByteSource, type ReadOptions } from './bytes/byte-source.ts';
export { checkpointFromFiles, type OpenedCheckpoint } from './checkpoint/open-checkpoint-files.ts';
export { encodeSafetensors, type TensorData } from './safetensors/encode-safetensors.ts';
export { openSafetensors, type SafetensorsFile } from './safetensors/open-safetensors.ts';
export { withHubNames, withLavisNames } from './names/hub-names.ts';
