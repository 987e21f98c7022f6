export { IGNORED_LABEL } from './cross-entropy.ts';
export { TextModel, type LanguageModelOptions, type TextLossOptions } from './language-model.ts';
export { describeLanguageModel, loadLanguageModel, type LoadLanguageModelOptions } from './load-language-model.ts';
export { optConfig, optConfigFromJson, type OptConfig, type OptSize } from './opt-config.ts';
export {
  optPositionRows,
  type OptInputParams,
  type OptLayerParams,
  type OptOutputParams,
  type OptParams,
} from './opt-decoder.ts';
export { createOpt, OptLanguageModel } from './opt-model.ts';
export { type LabelledTokens, optTrainingTokens } from './opt-prompt.ts';
export { optTrainingLogits, t5TrainingLogits, type T5TrainingInputs } from './training-logits.ts';
export type { OptForward, OptForwardOptions } from './opt-runner.ts';
export { describeOptParams } from './opt-weights.ts';
export { randomOptWeights, randomT5Weights, t5StandardDeviation } from './random-weights.ts';
export { flanT5Config, t5ConfigFromJson, type FlanT5Size, type T5Config } from './t5-config.ts';
export type { T5DecoderLayerParams, T5DecoderParams, T5Params } from './t5-decoder.ts';
export type { T5EncoderLayerParams, T5EncoderParams } from './t5-encoder.ts';
export type { T5AttentionParams, T5FeedForwardParams, T5StackParams } from './t5-layers.ts';
export { createT5, T5LanguageModel } from './t5-model.ts';
export { bucketStarts, positionBucket, type PositionBuckets } from './t5-positions.ts';
export { t5DecoderInputs, type T5TrainingTokens, t5TrainingTokens } from './t5-prompt.ts';
export type { T5Forward, T5ForwardOptions } from './t5-runner.ts';
export { describeT5Params } from './t5-weights.ts';
