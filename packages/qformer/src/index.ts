export { type AttentionPattern, captionMask, jointMask, textOnlyMask } from './attention-masks.ts';
export type { CaptioningOptions } from './captioning-session.ts';
export {
  captionLogits,
  type CaptionHeadParams,
  matchingLogits,
  projectContrastive,
  type QFormerHeadParams,
  type QFormerTextParams,
} from './heads.ts';
export {
  type QFormerPass,
  type QFormerPassOptions,
  type QFormerTrainingOptions,
  runCaptionPass,
  runCaptionStep,
  runJointPass,
  runQueryPass,
  runTextPass,
  type TextTensors,
} from './passes.ts';
export {
  QFORMER_MATCHING,
  QFORMER_STAGE_1,
  QFORMER_STAGE_2,
  type QFormerConfig,
  qformerConfigFromJson,
  type QFormerConfigOptions,
} from './qformer-config.ts';
export type { EncodedQueries, EncodeQueriesOptions, LoadedQFormer, WithAttention, WithLayers } from './loaded-qformer.ts';
export { createQFormer, loadQFormer } from './qformer-model.ts';
export { describeQFormer, isQFormerWeight } from './qformer-weights.ts';
export {
  embedQueries,
  embedText,
  type KeyValues,
  type LayerContext,
  type LayerOutput,
  normalizeImage,
  type QFormerAttentionParams,
  type QFormerFeedForwardParams,
  type QFormerInputParams,
  qformerLayer,
  type QFormerLayerParams,
  type QFormerParams,
} from './qformer.ts';
export { textTensors, withoutImageTokens } from './text-input.ts';
export { contrastiveSimilarity, querySimilarity } from '@blip2/core';
