import { type Described, describeLayerNorm, describeLinear, reshapeWeight, type Weight, type WeightReader } from '@blip2/core';
import type { CaptionHeadParams, QFormerHeadParams, QFormerTextParams } from './heads.ts';
import type {
  QFormerAttentionParams,
  QFormerFeedForwardParams,
  QFormerInputParams,
  QFormerLayerParams,
  QFormerParams,
} from './qformer.ts';
import type { QFormerConfig } from './qformer-config.ts';

/**
 * Describes the weights of a Q-Former by their names on the Hub; nothing is read. Names of original (LAVIS) files are
 * translated when a checkpoint is opened.
 *
 * @param reader - Keeps problems for its `finish`.
 * @param config - Says which of the optional parts there are.
 *
 * @example
 * const reader = new WeightReader(checkpoint.weights, 'Q-Former');
 * const described = describeQFormer(reader, config);
 * reader.finish(isQFormerWeight);
 *
 * Source: transformers, `Blip2QFormerModel` and `Blip2ForImageTextRetrieval`; LAVIS `Qformer.py` for the caption head.
 */
export function describeQFormer(reader: WeightReader, config: QFormerConfig): Described<QFormerParams> {
  reader.ignore((name) => isUnused(name));
  return {
    inputs: describeInputs(reader, config),
    layers: Array.from({ length: config.layers }, (_, index) => describeLayer(reader, config, index)),
    ...(config.readsText && { text: describeText(reader, config) }),
    heads: describeHeads(reader, config),
  };
}

/** True for the names of a Q-Former's weights inside a BLIP-2 checkpoint, `ln_vision` and all heads included. */
export function isQFormerWeight(name: string): boolean {
  return (
    /^(qformer|embeddings|vision_projection|text_projection|itm_head|language_projection|cls)\./.test(name) ||
    name.startsWith('vision_model.post_layernorm.') ||
    name === 'query_tokens' ||
    name === 'temp'
  );
}

/** Buffers, copies of tied weights, and what only stage-1 training needs. */
function isUnused(name: string): boolean {
  return name.endsWith('.position_ids') || name.startsWith('cls.') || name === 'temp';
}

function describeInputs(
  reader: WeightReader,
  { queries, width, imageFeatureWidth }: QFormerConfig,
): Described<QFormerInputParams> {
  return {
    imageNorm: describeLayerNorm(reader, 'vision_model.post_layernorm', imageFeatureWidth),
    queryTokens: reshapeWeight(reader.take('query_tokens', [1, queries, width]), [queries, width]),
    norm: describeLayerNorm(reader, 'qformer.layernorm', width),
  };
}

function describeLayer(reader: WeightReader, config: QFormerConfig, index: number): Described<QFormerLayerParams> {
  const name = `qformer.encoder.layer.${index}`;
  const { width, imageFeatureWidth, crossAttentionFrequency, readsText } = config;
  return {
    selfAttention: describeAttention(reader, `${name}.attention`, width, width),
    ...(index % crossAttentionFrequency === 0 && {
      crossAttention: describeAttention(reader, `${name}.crossattention`, width, imageFeatureWidth),
    }),
    queryFeedForward: describeFeedForward(reader, config, `${name}.intermediate_query`, `${name}.output_query`),
    ...(readsText && { textFeedForward: describeFeedForward(reader, config, `${name}.intermediate`, `${name}.output`) }),
  };
}

function describeAttention(
  reader: WeightReader,
  name: string,
  width: number,
  keyWidth: number,
): Described<QFormerAttentionParams> {
  return {
    query: describeLinear(reader, `${name}.attention.query`, [width, width]),
    key: describeLinear(reader, `${name}.attention.key`, [keyWidth, width]),
    value: describeLinear(reader, `${name}.attention.value`, [keyWidth, width]),
    output: describeLinear(reader, `${name}.output.dense`, [width, width]),
    norm: describeLayerNorm(reader, `${name}.output.LayerNorm`, width),
  };
}

function describeFeedForward(
  reader: WeightReader,
  { width, feedForwardWidth }: QFormerConfig,
  inner: string,
  output: string,
): Described<QFormerFeedForwardParams> {
  return {
    inner: describeLinear(reader, `${inner}.dense`, [width, feedForwardWidth]),
    output: describeLinear(reader, `${output}.dense`, [feedForwardWidth, width]),
    norm: describeLayerNorm(reader, `${output}.LayerNorm`, width),
  };
}

function describeText(reader: WeightReader, config: QFormerConfig): Described<QFormerTextParams> {
  const words = reader.take('embeddings.word_embeddings.weight', [config.vocabSize, config.width]);
  return {
    words,
    positions: reader.take('embeddings.position_embeddings.weight', [config.maxPositions, config.width]),
    ...(config.hasCaptionHead && { captionHead: describeCaptionHead(reader, config, words) }),
  };
}

/** The output matrix is the table of words. Files store it, and its bias, a second time under `decoder`. */
function describeCaptionHead(reader: WeightReader, config: QFormerConfig, words: Weight): Described<CaptionHeadParams> {
  const name = 'cls.predictions';
  return {
    dense: describeLinear(reader, `${name}.transform.dense`, [config.width, config.width]),
    norm: describeLayerNorm(reader, `${name}.transform.LayerNorm`, config.width),
    decoder: { weight: words, bias: reader.take(`${name}.bias`, [config.vocabSize]) },
  };
}

function describeHeads(reader: WeightReader, config: QFormerConfig): Described<QFormerHeadParams> {
  const { width, promptWidth, contrastiveWidth } = config;
  return {
    ...(promptWidth !== undefined && { promptProjection: describeLinear(reader, 'language_projection', [width, promptWidth]) }),
    ...(contrastiveWidth !== undefined && {
      imageProjection: describeLinear(reader, 'vision_projection', [width, contrastiveWidth]),
      textProjection: describeLinear(reader, 'text_projection', [width, contrastiveWidth]),
    }),
    ...(config.hasMatchingHead && { matching: describeLinear(reader, 'itm_head', [width, 2]) }),
    ...(config.hasTemperature && { temperature: reader.take('temp', []) }),
  };
}
