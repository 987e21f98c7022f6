import type { ActivationName } from '@blip2/core';
import * as z from 'zod/mini';
import { assertDivisible, parseConfig } from './config-json.ts';
import { activationName, flag, size, tokenId, tokenIds, withDefault } from '@blip2/core/config';

/** Everything that shapes an OPT decoder. Source: OPT (arXiv 2205.01068), table 1; `OPTConfig` of Hugging Face transformers. */
export interface OptConfig {
  readonly vocabSize: number;
  /** Width of the hidden states. */
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly feedForwardWidth: number;
  /** Width of token embeddings, and so of visual prompts. Differs from `width` in OPT-350m alone. */
  readonly embeddingWidth: number;
  /** Positions that count: padding needs none. The table has two rows more. */
  readonly maxPositions: number;
  readonly activation: ActivationName;
  /** Norms before attention and feed-forward (all sizes but 350m), or after the sums. */
  readonly normBefore: boolean;
  /** Whether a last norm follows the layers; only models with `normBefore` have one. */
  readonly finalNorm: boolean;
  /** Whether linear layers have biases. */
  readonly linearBias: boolean;
  /** Whether norms have a weight and a bias. */
  readonly normAffine: boolean;
  readonly normEpsilon: number;
  readonly padTokenId: number;
  /** What the text begins with, after the visual prompt: `</s>`. */
  readonly beginTokenId: number;
  /** What ends a text: `</s>` in plain OPT, the newline in BLIP-2. */
  readonly endTokenIds: readonly number[];
}

/** The defaults of `OPTConfig`: BLIP-2's configurations leave most fields out. */
const optSchema = z.looseObject({
  vocab_size: withDefault(size, 50272),
  hidden_size: withDefault(size, 768),
  num_hidden_layers: withDefault(size, 12),
  num_attention_heads: withDefault(size, 12),
  ffn_dim: withDefault(size, 3072),
  word_embed_proj_dim: z.nullish(size),
  max_position_embeddings: withDefault(size, 2048),
  activation_function: withDefault(activationName, 'relu'),
  do_layer_norm_before: withDefault(flag, true),
  _remove_final_layer_norm: withDefault(flag, false),
  enable_bias: withDefault(flag, true),
  layer_norm_elementwise_affine: withDefault(flag, true),
  pad_token_id: withDefault(tokenId, 1),
  bos_token_id: withDefault(tokenId, 2),
  eos_token_id: withDefault(tokenIds, [2]),
});

/**
 * Reads a Hugging Face OPT configuration: a plain `config.json`, or the `text_config` of a BLIP-2 one.
 *
 * @throws {ConfigError} for a field that does not fit, or the configuration of another kind of model.
 *
 * @example
 * const config = optConfigFromJson({ model_type: 'opt', hidden_size: 2560, num_hidden_layers: 32, num_attention_heads: 32, ffn_dim: 10240 });
 */
export function optConfigFromJson(json: unknown): OptConfig {
  const fields = parseConfig(optSchema, json, 'OPT', 'opt');
  assertDivisible(fields.hidden_size, fields.num_attention_heads, 'OPT');
  return {
    vocabSize: fields.vocab_size,
    width: fields.hidden_size,
    layers: fields.num_hidden_layers,
    heads: fields.num_attention_heads,
    feedForwardWidth: fields.ffn_dim,
    embeddingWidth: fields.word_embed_proj_dim ?? fields.hidden_size,
    maxPositions: fields.max_position_embeddings,
    activation: fields.activation_function,
    normBefore: fields.do_layer_norm_before,
    finalNorm: fields.do_layer_norm_before && !fields['_remove_final_layer_norm'],
    linearBias: fields.enable_bias,
    normAffine: fields.layer_norm_elementwise_affine,
    normEpsilon: 1e-5, // torch's default, which OPT keeps
    padTokenId: fields.pad_token_id,
    beginTokenId: fields.bos_token_id,
    endTokenIds: fields.eos_token_id,
  };
}

/** The published sizes of OPT. */
export type OptSize = '125m' | '350m' | '1.3b' | '2.7b' | '6.7b' | '13b' | '30b' | '66b';

/** Width, layers, heads. The feed-forward width is four times the width. Source: OPT (arXiv 2205.01068), table 1. */
const OPT_SIZES: Readonly<Record<OptSize, readonly [width: number, layers: number, heads: number]>> = {
  '125m': [768, 12, 12],
  '350m': [1024, 24, 16],
  '1.3b': [2048, 24, 32],
  '2.7b': [2560, 32, 32],
  '6.7b': [4096, 32, 32],
  '13b': [5120, 40, 40],
  '30b': [7168, 48, 56],
  '66b': [9216, 64, 72],
};

/**
 * The configuration of a published OPT.
 *
 * @param overrides - Fields to change, such as `{ vocabSize: 50304, endTokenIds: [50118] }` for OPT inside BLIP-2.
 *
 * @example
 * const config = optConfig('2.7b', { vocabSize: 50304, endTokenIds: [50118] });
 */
export function optConfig(name: OptSize, overrides: Partial<OptConfig> = {}): OptConfig {
  const [width, layers, heads] = OPT_SIZES[name];
  const published = optConfigFromJson({
    hidden_size: width,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    ffn_dim: 4 * width,
    word_embed_proj_dim: name === '350m' ? 512 : width,
    do_layer_norm_before: name !== '350m',
  });
  return { ...published, ...overrides };
}
