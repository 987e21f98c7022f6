export { calibrationImages } from './calibration-images.ts';
export { interpolatePositions, type PatchGrid } from './position-interpolation.ts';
export {
  createVisionEncoder,
  type EncodeOptions,
  type LayerFeatures,
  loadVisionEncoder,
  type VisionEncoderOptions,
  type VisionTransformerEncoder,
} from './vision-encoder.ts';
export {
  CLIP_VIT_L,
  EVA_VIT_G,
  visionConfigFromJson,
  type VisionConfigOptions,
  type VisionTransformerConfig,
} from './vision-transformer-config.ts';
export { describeVisionTransformer, isVisionWeight } from './vision-transformer-weights.ts';
export {
  cutIntoPatches,
  embedImages,
  type VisionAttentionParams,
  visionBlock,
  type VisionBlockParams,
  type VisionEmbeddingParams,
  visionTransformer,
  type VisionTransformerParams,
} from './vision-transformer.ts';
