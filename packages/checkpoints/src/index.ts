export { byteSourceFromBlob, byteSourceFromBytes, type ByteSource, type ReadOptions } from './bytes/byte-source.ts';
export { checkpointFromFiles, type OpenedCheckpoint } from './checkpoint/open-checkpoint-files.ts';
export { encodeSafetensors, type TensorData } from './safetensors/encode-safetensors.ts';
export { decodeFloat16, encodeBfloat16, encodeFloat16 } from './safetensors/half-precision.ts';
export { openSafetensors, type SafetensorsFile } from './safetensors/open-safetensors.ts';
export { withHubNames, withLavisNames } from './names/hub-names.ts';
export {
  parseBlip2Config,
  parseModelConfig,
  type Blip2ConfigJson,
  type ModelConfigJson,
  type QFormerConfigJson,
} from './config/blip2-config.ts';
export { parseQuantizationConfig, type QuantizationConfigJson } from './config/quantization-config.ts';
export {
  parseOptConfig,
  parseT5Config,
  type LanguageConfigJson,
  type OptConfigJson,
  type T5ConfigJson,
} from './config/language-config.ts';
export {
  parseGenerationConfig,
  parsePreprocessorConfig,
  parseProcessorConfig,
  type GenerationConfigJson,
  type ImageSizeJson,
  type PreprocessorConfigJson,
  type ProcessorConfigJson,
} from './config/processor-configs.ts';
export {
  readBlip2Config,
  readGenerationConfig,
  readJsonFile,
  readModelConfig,
  readPreprocessorConfig,
  readProcessorConfig,
  type ReadConfigOptions,
  type ReadJsonOptions,
} from './config/read-config-files.ts';
export type { ParseOptions } from './config/validate.ts';
export {
  parseClipVisionConfig,
  type Blip2VisionConfigJson,
  type ClipVisionConfigJson,
  type VisionConfigJson,
} from './config/vision-config.ts';
export { configText } from './json/config-text.ts';
export type { HttpOptions } from './http/http-client.ts';
export { type FileUrls, openCheckpointUrl, type OpenUrlOptions } from './http/open-checkpoint-url.ts';
export { byteSourceFromUrl } from './http/http-byte-source.ts';
export { blockQuantizationError, errorBetween, joinErrors, type QuantizationError } from './quantization/quantization-error.ts';
export {
  dequantizeBlocks,
  quantizeBlocks,
  type QuantizeBlocksOptions,
  type QuantizedBlocks,
} from './quantization/quantize-blocks.ts';
export { dequantizeColumns, quantizeColumns, type QuantizedColumns } from './quantization/quantize-columns.ts';
