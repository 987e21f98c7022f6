import * as z from 'zod/mini';
import { assertModelType } from './model-type.ts';
import { parseQuantizationConfig } from './quantization-config.ts';
import {
  completed,
  count,
  endTokenIds,
  headsDivide,
  positive,
  probability,
  tokenId,
  validate,
  withDefault,
  type Schema,
} from './validate.ts';

/** Configuration of OPT, complete. */
export interface OptConfigJson {
  readonly model_type: 'opt';
  /** Rows of the embedding; more than the tokenizer has tokens. */
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly ffn_dim: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  /** Width of the embedding; below `hidden_size` in the 350m model only. */
  readonly word_embed_proj_dim: number;
  readonly max_position_embeddings: number;
  readonly do_layer_norm_before: boolean;
  readonly _remove_final_layer_norm: boolean;
  readonly enable_bias: boolean;
  readonly layer_norm_elementwise_affine: boolean;
  readonly activation_function: string;
  readonly dropout: number;
  readonly attention_dropout: number;
  readonly layerdrop: number;
  readonly init_std: number;
  readonly pad_token_id: number;
  readonly bos_token_id: number;
  /** BLIP-2's models end with a newline, 50118. */
  readonly eos_token_id: number | readonly number[];
  readonly tie_word_embeddings: boolean;
}

/** Configuration of T5 and Flan-T5, complete. */
export interface T5ConfigJson {
  readonly model_type: 't5';
  readonly vocab_size: number;
  readonly d_model: number;
  /** Width of one head; heads need not divide `d_model`. */
  readonly d_kv: number;
  readonly d_ff: number;
  readonly num_heads: number;
  /** Blocks of the encoder. */
  readonly num_layers: number;
  readonly num_decoder_layers: number;
  /** `relu` or `gated-gelu`. */
  readonly feed_forward_proj: string;
  /** The activation, which the file may set apart from `feed_forward_proj`: `gelu` is exact, `gelu_new` the tanh form. */
  readonly dense_act_fn: string;
  readonly is_gated_act: boolean;
  readonly relative_attention_num_buckets: number;
  readonly relative_attention_max_distance: number;
  readonly dropout_rate: number;
  readonly layer_norm_epsilon: number;
  readonly initializer_factor: number;
  /** Whether the head is the embedding. A separate `lm_head.weight` in the file decides against it. */
  readonly tie_word_embeddings: boolean;
  /** Whether the head sees the decoder's output times `d_model ** -0.5`, as T5 with a tied head was trained. */
  readonly scale_decoder_outputs: boolean;
  readonly pad_token_id: number;
  readonly eos_token_id: number | readonly number[];
  /** BLIP-2 adds 1; plain T5 has none. */
  readonly bos_token_id: number | null;
  readonly decoder_start_token_id: number;
}

/** Either language model; `model_type` tells. */
export type LanguageConfigJson = OptConfigJson | T5ConfigJson;

/** Source: transformers, `OPTConfig`. */
export const optConfigSchema: Schema<OptConfigJson> = completed(
  z
    .looseObject({
      model_type: withDefault(z.literal('opt'), 'opt'),
      vocab_size: withDefault(count, 50272),
      hidden_size: withDefault(count, 768),
      ffn_dim: withDefault(count, 3072),
      num_hidden_layers: withDefault(count, 12),
      num_attention_heads: withDefault(count, 12),
      word_embed_proj_dim: z.nullish(count),
      max_position_embeddings: withDefault(count, 2048),
      do_layer_norm_before: withDefault(z.boolean(), true),
      _remove_final_layer_norm: withDefault(z.boolean(), false),
      enable_bias: withDefault(z.boolean(), true),
      layer_norm_elementwise_affine: withDefault(z.boolean(), true),
      activation_function: withDefault(z.string(), 'relu'),
      dropout: withDefault(probability, 0.1),
      attention_dropout: withDefault(probability, 0),
      layerdrop: withDefault(probability, 0),
      init_std: withDefault(z.number(), 0.02),
      pad_token_id: withDefault(tokenId, 1),
      bos_token_id: withDefault(tokenId, 2),
      eos_token_id: withDefault(endTokenIds, 2),
      tie_word_embeddings: withDefault(z.boolean(), true),
    })
    .check(headsDivide('hidden_size')),
  (config) => ({ ...config, word_embed_proj_dim: config.word_embed_proj_dim ?? config.hidden_size }),
);

/** Source: transformers, `T5Config`. */
export const t5ConfigSchema: Schema<T5ConfigJson> = completed(
  z.looseObject({
    model_type: withDefault(z.literal('t5'), 't5'),
    vocab_size: withDefault(count, 32128),
    d_model: withDefault(count, 512),
    d_kv: withDefault(count, 64),
    d_ff: withDefault(count, 2048),
    num_heads: withDefault(count, 8),
    num_layers: withDefault(count, 6),
    num_decoder_layers: z.nullish(count),
    feed_forward_proj: withDefault(
      z.string().check(z.regex(/^(?:gated-)?[a-z_]+$/, "expected an activation such as 'relu', or 'gated-gelu'")),
      'relu',
    ),
    dense_act_fn: z.nullish(z.string()),
    is_gated_act: z.nullish(z.boolean()),
    relative_attention_num_buckets: withDefault(count, 32),
    relative_attention_max_distance: withDefault(count, 128),
    dropout_rate: withDefault(probability, 0.1),
    layer_norm_epsilon: withDefault(positive, 1e-6),
    initializer_factor: withDefault(z.number(), 1),
    tie_word_embeddings: withDefault(z.boolean(), true),
    scale_decoder_outputs: z.nullish(z.boolean()),
    pad_token_id: withDefault(tokenId, 0),
    eos_token_id: withDefault(endTokenIds, 1),
    bos_token_id: z.nullish(tokenId),
    decoder_start_token_id: z.nullish(tokenId),
  }),
  (config) => {
    const { feed_forward_proj: projection, pad_token_id: padTokenId } = config;
    // For old files `gated-gelu` means the tanh form; the reference keeps this, and lets an explicit field win.
    const activation = projection === 'gated-gelu' ? 'gelu_new' : projection.replace('gated-', '');
    return {
      ...config,
      num_decoder_layers: config.num_decoder_layers ?? config.num_layers,
      dense_act_fn: config.dense_act_fn ?? activation,
      is_gated_act: config.is_gated_act ?? projection.startsWith('gated-'),
      scale_decoder_outputs: config.scale_decoder_outputs ?? config.tie_word_embeddings,
      bos_token_id: config.bos_token_id ?? null,
      decoder_start_token_id: config.decoder_start_token_id ?? padTokenId,
    };
  },
);

/**
 * Completes the configuration of an OPT model.
 *
 * @param json - The parsed `config.json`.
 * @param fileName - For messages.
 * @returns the fields of the file, and the reference's values for those it leaves out.
 * @throws {ConfigError} for another model's configuration, or a value that cannot be.
 *
 * Source: transformers, `OPTConfig`.
 */
export function parseOptConfig(json: unknown, fileName = 'config.json'): OptConfigJson {
  assertModelType(json, ['opt'], fileName);
  parseQuantizationConfig(json, fileName); // refuses other libraries' formats
  return validate(optConfigSchema, json, fileName);
}

/**
 * Completes the configuration of a T5 or Flan-T5 model.
 *
 * @param json - The parsed `config.json`.
 * @param fileName - For messages.
 * @returns the fields of the file, and the reference's values for those it leaves out.
 * @throws {ConfigError} for another model's configuration, or a value that cannot be.
 *
 * Source: transformers, `T5Config`.
 */
export function parseT5Config(json: unknown, fileName = 'config.json'): T5ConfigJson {
  assertModelType(json, ['t5'], fileName);
  parseQuantizationConfig(json, fileName); // refuses other libraries' formats
  return validate(t5ConfigSchema, json, fileName);
}
