import { type QFormerConfig, QFORMER_STAGE_1 } from '@blip2/qformer';
import { EVA_VIT_G, type VisionTransformerConfig } from '@blip2/vision-encoder';

/** The image encoder: 64 patches and a class token. */
export const VISION: VisionTransformerConfig = {
  ...EVA_VIT_G,
  imageSize: 128,
  patchSize: 16,
  width: 128,
  layers: 4,
  layersInCheckpoint: 4,
  heads: 8,
  feedForwardWidth: 512,
};

/** A quarter of it, to see what the size of a frozen part is worth. */
export const SMALL_VISION: VisionTransformerConfig = {
  ...VISION,
  width: 64,
  layers: 2,
  layersInCheckpoint: 2,
  heads: 4,
  feedForwardWidth: 256,
};

/** The Q-Former of stage 1, for a vocabulary of so many tokens, behind an image encoder. */
export function qformerSize(vocabSize: number, vision: VisionTransformerConfig = VISION): QFormerConfig {
  return {
    ...QFORMER_STAGE_1,
    queries: 16,
    crossAttentionFrequency: 1, // every second one of 4 layers would look at the image twice, not six times
    width: 128,
    layers: 4,
    heads: 4,
    feedForwardWidth: 512,
    imageFeatureWidth: vision.width,
    imageNormEpsilon: vision.normEpsilon,
    contrastiveWidth: 64,
    maxPositions: 64,
    vocabSize,
    beginCaptionTokenId: vocabSize - 1,
  };
}

/** What differs between sizes of the decoder-only language model. */
export const OPT_SIZES = {
  opt: { hidden_size: 128, word_embed_proj_dim: 128, ffn_dim: 512, num_hidden_layers: 4, num_attention_heads: 4 },
  'opt small': { hidden_size: 64, word_embed_proj_dim: 64, ffn_dim: 256, num_hidden_layers: 2, num_attention_heads: 2 },
} as const;

/** `config.json` of the decoder-only language model. */
export function optJson(vocabSize: number, newlineId: number, size: keyof typeof OPT_SIZES = 'opt'): Record<string, unknown> {
  return {
    ...OPT_SIZES[size],
    architectures: ['OPTForCausalLM'],
    model_type: 'opt',
    activation_function: 'relu',
    bos_token_id: 2,
    do_layer_norm_before: true,
    eos_token_id: newlineId, // texts end with a line, as in BLIP-2
    max_position_embeddings: 128,
    pad_token_id: 1,
    vocab_size: vocabSize,
  };
}

/** `config.json` of the encoder-decoder language model, of Flan-T5's kind. */
export function t5Json(vocabSize: number): Record<string, unknown> {
  return {
    architectures: ['T5ForConditionalGeneration'],
    model_type: 't5',
    d_ff: 256,
    d_kv: 32,
    d_model: 128,
    decoder_start_token_id: 0,
    dense_act_fn: 'gelu',
    eos_token_id: 1,
    feed_forward_proj: 'gated-gelu',
    is_gated_act: true,
    num_decoder_layers: 3,
    num_heads: 4,
    num_layers: 3,
    pad_token_id: 0,
    relative_attention_max_distance: 128,
    relative_attention_num_buckets: 32,
    tie_word_embeddings: false,
    vocab_size: vocabSize,
  };
}
