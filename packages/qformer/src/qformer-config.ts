import { type ActivationName, ConfigError, type WeightSource } from '@blip2/core';
import * as z from 'zod/mini';
import { activationName, asObject, flag, parseFields, positive, type Schema, size, withDefault } from '@blip2/core/config';

/** Everything that shapes a Q-Former, and which of its parts there are. */
export interface QFormerConfig {
  /** Learned queries: 32. */
  readonly queries: number;
  /** Width of queries and text: 768. */
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly feedForwardWidth: number;
  readonly activation: ActivationName;
  /** Added to the variance in the Q-Former's layer norms. Below what half precision resolves. */
  readonly normEpsilon: number;
  /** Layers whose number this divides have cross-attention. */
  readonly crossAttentionFrequency: number;
  /** Width of the image features it was trained on: 1408 for ViT-g, 1024 for ViT-L. */
  readonly imageFeatureWidth: number;
  /** Added to the variance in `ln_vision`: 1e-5 in LAVIS, 1e-6 in the files of the Hub. */
  readonly imageNormEpsilon: number;
  /** Whether it has text embeddings and text feed-forward layers. */
  readonly readsText: boolean;
  readonly vocabSize: number;
  /** Longest text, in tokens. */
  readonly maxPositions: number;
  /** Whether it has the image-text matching head. */
  readonly hasMatchingHead: boolean;
  /** Whether it has the caption head of stage 1, which the Hub's files leave out. */
  readonly hasCaptionHead: boolean;
  /** Whether the checkpoint keeps the learned temperature of the contrastive loss. */
  readonly hasTemperature: boolean;
  /** Width of the contrastive projections, if there are any. */
  readonly contrastiveWidth?: number;
  /** Width of the projection to the language model, if there is one. */
  readonly promptWidth?: number;
  readonly padTokenId: number;
  /** `[DEC]`, with which captions begin: the token BLIP-2 added to BERT's vocabulary. */
  readonly beginCaptionTokenId: number;
  /** `[SEP]`, with which captions end. */
  readonly endCaptionTokenId: number;
}

/** BERT-base with queries; what all published Q-Formers share. Source: BLIP-2 (arXiv 2301.12597), section 3.1. */
const BERT_BASE = {
  queries: 32,
  width: 768,
  layers: 12,
  heads: 12,
  feedForwardWidth: 3072,
  activation: 'gelu',
  normEpsilon: 1e-12,
  crossAttentionFrequency: 2,
  imageFeatureWidth: 1408,
  vocabSize: 30523, // BERT's 30522 and [DEC]
  maxPositions: 512,
  padTokenId: 0,
  beginCaptionTokenId: 30522,
  endCaptionTokenId: 102,
} as const;

/**
 * The Q-Former of stage 1 with all its heads, as LAVIS trains and stores it, behind ViT-g.
 *
 * @example
 * const config = { ...QFORMER_STAGE_1, imageFeatureWidth: 1024 }; // behind ViT-L
 */
export const QFORMER_STAGE_1: QFormerConfig = {
  ...BERT_BASE,
  imageNormEpsilon: 1e-5,
  readsText: true,
  hasMatchingHead: true,
  hasCaptionHead: true,
  hasTemperature: true,
  contrastiveWidth: 256,
};

/** The Q-Former of the Hub's `blip2-itm-vit-g` checkpoints: reads and matches text, does not write. */
export const QFORMER_MATCHING: QFormerConfig = {
  ...QFORMER_STAGE_1,
  imageNormEpsilon: 1e-6,
  hasCaptionHead: false,
  hasTemperature: false,
};

/**
 * The Q-Former of stage 2: queries alone, with a projection to the language model, here to OPT-2.7B.
 *
 * @example
 * const config = { ...QFORMER_STAGE_2, promptWidth: 2048 }; // Flan-T5-XL; 4096 for OPT-6.7B and Flan-T5-XXL
 */
export const QFORMER_STAGE_2: QFormerConfig = {
  ...BERT_BASE,
  imageNormEpsilon: 1e-6,
  readsText: false,
  hasMatchingHead: false,
  hasCaptionHead: false,
  hasTemperature: false,
  promptWidth: 2560,
};

/** What a caller may decide over a configuration file. */
export interface QFormerConfigOptions {
  /**
   * The checkpoint's weights, which say what the file does not: whether there is a caption head, a temperature, or a
   * projection beside the text branch.
   */
  readonly weights?: Pick<WeightSource, 'get'>;
  /** Replaces `layer_norm_eps` of the file's `vision_config` for `ln_vision`. */
  readonly imageNormEpsilon?: number;
}

/** What a BLIP-2 `config.json` says of its Q-Former; defaults as transformers assumes them. */
interface Blip2Fields {
  readonly num_query_tokens: number;
  readonly image_text_hidden_size: number;
  readonly qformer: QFormerFields;
  readonly vision: VisionFields;
  readonly text: TextFields;
}

const blip2Fields: Schema<Pick<Blip2Fields, 'num_query_tokens' | 'image_text_hidden_size'>> = z.object({
  num_query_tokens: withDefault(size, 32),
  image_text_hidden_size: withDefault(size, 256),
});

interface QFormerFields {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly intermediate_size: number;
  readonly hidden_act: ActivationName;
  readonly layer_norm_eps: number;
  readonly max_position_embeddings: number;
  readonly cross_attention_frequency: number;
  readonly pad_token_id: number;
  readonly use_qformer_text_input?: boolean | null;
  /** How early files of matching models spell it. */
  readonly qformer_text_input?: boolean | null;
}

const qformerFields: Schema<QFormerFields> = z.object({
  vocab_size: withDefault(size, 30522),
  hidden_size: withDefault(size, 768),
  num_hidden_layers: withDefault(size, 12),
  num_attention_heads: withDefault(size, 12),
  intermediate_size: withDefault(size, 3072),
  hidden_act: withDefault(activationName, 'gelu'),
  layer_norm_eps: withDefault(positive, 1e-12),
  max_position_embeddings: withDefault(size, 512),
  cross_attention_frequency: withDefault(size, 2),
  pad_token_id: withDefault(z.int('expected a token id').check(z.gte(0, 'expected a token id, 0 or more')), 0),
  use_qformer_text_input: z.nullish(flag),
  qformer_text_input: z.nullish(flag),
});

interface VisionFields {
  readonly model_type?: string | null;
  readonly hidden_size?: number | null;
  readonly layer_norm_eps?: number | null;
}

const visionFields: Schema<VisionFields> = z.object({
  model_type: z.nullish(z.string('expected a name')),
  hidden_size: z.nullish(size),
  layer_norm_eps: z.nullish(positive),
});

interface TextFields {
  readonly model_type: string;
  readonly hidden_size?: number | null;
  readonly d_model?: number | null;
  readonly word_embed_proj_dim?: number | null;
}

const textFields: Schema<TextFields> = z.object({
  model_type: withDefault(z.string('expected a name'), 'opt'),
  hidden_size: z.nullish(size),
  d_model: z.nullish(size),
  word_embed_proj_dim: z.nullish(size),
});

/**
 * Reads the configuration of a Q-Former from a BLIP-2 `config.json` in Hugging Face's form: `qformer_config`, the
 * numbers of queries and contrastive features, and the widths on both sides.
 *
 * @throws {ConfigError} for another kind of model, and for values that no Q-Former has.
 *
 * @example
 * const config = qformerConfigFromJson(JSON.parse(text), { weights: checkpoint.weights });
 *
 * Source: transformers, `configuration_blip_2.py`, for names and defaults.
 */
export function qformerConfigFromJson(json: unknown, options: QFormerConfigOptions = {}): QFormerConfig {
  const fields = readFields(json);
  const { qformer, vision } = fields;
  const isClip = vision.model_type === 'clip_vision_model';
  const config: QFormerConfig = {
    queries: fields.num_query_tokens,
    width: qformer.hidden_size,
    layers: qformer.num_hidden_layers,
    heads: qformer.num_attention_heads,
    feedForwardWidth: qformer.intermediate_size,
    activation: qformer.hidden_act,
    normEpsilon: qformer.layer_norm_eps,
    crossAttentionFrequency: qformer.cross_attention_frequency,
    imageFeatureWidth: vision.hidden_size ?? (isClip ? 768 : 1408),
    imageNormEpsilon: options.imageNormEpsilon ?? vision.layer_norm_eps ?? (isClip ? 1e-5 : 1e-6),
    vocabSize: qformer.vocab_size,
    maxPositions: qformer.max_position_embeddings,
    padTokenId: qformer.pad_token_id,
    beginCaptionTokenId: qformer.vocab_size - 1, // [DEC] was added last
    endCaptionTokenId: BERT_BASE.endCaptionTokenId,
    ...partsOf(fields, options.weights),
  };
  if (config.width % config.heads !== 0) {
    throw new ConfigError(
      `qformer_config: hidden_size ${config.width} cannot be split into ${config.heads} heads. Correct the configuration.`,
    );
  }
  return config;
}

function readFields(json: unknown): Blip2Fields {
  const whole = asObject(json, 'Q-Former config');
  if (whole['model_type'] !== 'blip-2') {
    throw new ConfigError(
      `Q-Former config: model_type is ${JSON.stringify(whole['model_type'])}, expected "blip-2". Pass the whole parsed config.json of a BLIP-2 model.`,
    );
  }
  const part = <Fields>(schema: Schema<Fields>, name: string): Fields =>
    parseFields(schema, asObject(whole[name] ?? {}, name), name);
  return {
    ...parseFields(blip2Fields, whole, 'Q-Former config'),
    qformer: part(qformerFields, 'qformer_config'),
    vision: part(visionFields, 'vision_config'),
    text: part(textFields, 'text_config'),
  };
}

type Parts = Pick<
  QFormerConfig,
  'readsText' | 'hasMatchingHead' | 'hasCaptionHead' | 'hasTemperature' | 'contrastiveWidth' | 'promptWidth'
>;

/** Without weights, the two kinds of published models: those that match text, and those that prompt a language model. */
function partsOf(fields: Blip2Fields, weights: QFormerConfigOptions['weights']): Parts {
  const { use_qformer_text_input, qformer_text_input } = fields.qformer;
  const readsText = use_qformer_text_input ?? qformer_text_input ?? false;
  const has = (name: string): boolean => weights?.get(name) !== undefined;
  const prompts = !readsText || has('language_projection.weight');
  // A model that reads text and prompts a language model may lack the stage-1 heads; one that only reads text may not.
  const hasHead = (name: string): boolean => readsText && (!prompts || has(name));
  return {
    readsText,
    hasMatchingHead: hasHead('itm_head.weight'),
    hasCaptionHead: readsText && has('cls.predictions.transform.dense.weight'),
    hasTemperature: has('temp'),
    ...(hasHead('vision_projection.weight') && { contrastiveWidth: fields.image_text_hidden_size }),
    ...(prompts && { promptWidth: promptWidthOf(fields.text, weights) }),
  };
}

/**
 * The width of the language model's embeddings. OPT-350m has narrow ones: a projection made for them fits those, one
 * made by transformers the wide hidden state; the weights decide.
 */
function promptWidthOf(text: TextFields, weights: QFormerConfigOptions['weights']): number {
  if (text.model_type !== 'opt') return text.d_model ?? text.hidden_size ?? 512;
  const width = text.hidden_size ?? 768;
  const stored = weights?.get('language_projection.weight')?.shape[0];
  return stored !== undefined && stored === text.word_embed_proj_dim ? stored : width;
}
