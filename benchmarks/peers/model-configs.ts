import { BLIP2_CONFIGS } from 'blip2/node';
import { optJson, qformerSize, t5Json, VISION } from '../../packages/tiny/training/sizes.ts';

/** The `config.json` of each model that is measured, at its true size or small. */

/** The models that are measured. */
export type ModelName = 'itm-vit-g' | 'opt-2.7b' | 'flan-t5-xl' | TrainingModelName;

/** Those that are trained. The second stage has its frozen language model beside the Q-Former. */
export type TrainingModelName = 'stage-1' | 'stage-2-opt-2.7b-8-layers' | 'tiny-stage-1' | 'tiny-stage-2-opt' | 'tiny-stage-2-t5';

/** A parsed `config.json`. */
export type Json = Readonly<Record<string, unknown>>;

/** As many of OPT-2.7B's 32 layers as let both sides live in 24 GB at once: 8.6 GB of ours and 5.8 GB of PyTorch's; each layer is 0.3 GB more for either. */
const FITTING_LAYERS = 8;

/** As many tokens as the tokenizers of the tiny models know, and the line that ends OPT's texts. */
const TINY_VOCABULARY = { qformer: 202, opt: 625, t5: 178 } as const;
const TINY_NEWLINE = 14;

/**
 * The content of `config.json`: a language model's own, or that of a BLIP-2 model.
 *
 * @param small - A few layers and small widths, with which everything runs in seconds.
 */
export function configJsonOf(name: ModelName, small: boolean): Json {
  switch (name) {
    case 'itm-vit-g':
    case 'stage-1':
      return matchingConfigJson(small);
    case 'opt-2.7b':
    case 'flan-t5-xl':
      return languageConfigJson(name, small);
    case 'stage-2-opt-2.7b-8-layers':
      return stageTwoConfigJson(small);
    case 'tiny-stage-1':
      return tinyConfigJson(small);
    case 'tiny-stage-2-opt':
      return tinyConfigJson(small, optJson(TINY_VOCABULARY.opt, TINY_NEWLINE));
    case 'tiny-stage-2-t5':
      return tinyConfigJson(small, t5Json(TINY_VOCABULARY.t5));
  }
}

function matchingConfigJson(small: boolean): Json {
  // JavaScript writes the number 1.0 as 1, which transformers refuses here; it is the default.
  const { initializer_factor: _, ...config } = BLIP2_CONFIGS['blip2-itm-vit-g'] as Json;
  return small ? { ...withSmallBridge(config), image_text_hidden_size: 32 } : config;
}

/** Image encoder and Q-Former, small. */
function withSmallBridge(config: Json): Json {
  return {
    ...config,
    num_query_tokens: 4,
    vision_config: withSizes(config['vision_config'], {
      hidden_size: 64,
      intermediate_size: 96,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      image_size: 56,
    }),
    qformer_config: withSizes(config['qformer_config'], {
      hidden_size: 48,
      intermediate_size: 64,
      num_hidden_layers: 3,
      num_attention_heads: 4,
      encoder_hidden_size: 64,
    }),
  };
}

function languageConfigJson(name: 'opt-2.7b' | 'flan-t5-xl', small: boolean): Json {
  const isOpt = name === 'opt-2.7b';
  const { text_config: config } = BLIP2_CONFIGS[`blip2-${name}`] as { readonly text_config: Json };
  const architectures = [isOpt ? 'OPTForCausalLM' : 'T5ForConditionalGeneration'];
  if (!small) return { architectures, ...config };
  const optSizes = { hidden_size: 64, word_embed_proj_dim: 64, ffn_dim: 96, num_hidden_layers: 2, num_attention_heads: 4 };
  const t5Sizes = { d_model: 64, d_ff: 96, d_kv: 16, num_heads: 4, num_layers: 2, num_decoder_layers: 2 };
  return { architectures, ...withSizes(config, isOpt ? optSizes : t5Sizes) };
}

function stageTwoConfigJson(small: boolean): Json {
  const { initializer_factor: _, ...config } = BLIP2_CONFIGS['blip2-opt-2.7b'] as Json;
  const { architectures: __, ...text } = languageConfigJson('opt-2.7b', small);
  if (small) return { ...withSmallBridge(config), text_config: text };
  return { ...config, text_config: withSizes(text, { num_hidden_layers: FITTING_LAYERS }) };
}

/** As the tiny models' files say it. @param text - The frozen language model's; none in the first stage. */
function tinyConfigJson(small: boolean, text?: Json): Json {
  const config = qformerSize(TINY_VOCABULARY.qformer);
  return {
    model_type: 'blip-2',
    image_text_hidden_size: config.contrastiveWidth,
    num_query_tokens: config.queries,
    vision_config: {
      model_type: 'blip_2_vision_model',
      hidden_size: VISION.width,
      image_size: VISION.imageSize,
      layer_norm_eps: VISION.normEpsilon,
      patch_size: VISION.patchSize,
    },
    qformer_config: {
      model_type: 'blip_2_qformer',
      cross_attention_frequency: config.crossAttentionFrequency,
      encoder_hidden_size: config.imageFeatureWidth,
      hidden_size: config.width,
      intermediate_size: config.feedForwardWidth,
      layer_norm_eps: config.normEpsilon,
      max_position_embeddings: config.maxPositions,
      num_attention_heads: config.heads,
      num_hidden_layers: small ? 2 : config.layers,
      use_qformer_text_input: text === undefined,
      vocab_size: config.vocabSize,
    },
    text_config: text === undefined ? { model_type: 'opt' } : withSizes(text, small ? fewLayers(text) : {}),
  };
}

function fewLayers({ model_type: kind }: Json): Json {
  return kind === 't5' ? { num_layers: 1, num_decoder_layers: 1 } : { num_hidden_layers: 1 };
}

function withSizes(config: unknown, sizes: Json): Json {
  return { ...(config as Json), ...sizes };
}
