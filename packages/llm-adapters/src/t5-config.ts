import { type ActivationName, ConfigError } from '@blip2/core';
import * as z from 'zod/mini';
import { parseConfig } from './config-json.ts';
import { activationName, flag, positive, size, tokenId, tokenIds, withDefault } from '@blip2/core/config';

/** Everything that shapes a T5 model. Source: T5 (arXiv 1910.10683); `T5Config` of Hugging Face transformers. */
export interface T5Config {
  readonly vocabSize: number;
  /** Width of the hidden states and of visual prompts. */
  readonly width: number;
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  readonly heads: number;
  /** Width of one head; `heads · headWidth` need not be `width`. */
  readonly headWidth: number;
  readonly feedForwardWidth: number;
  /** Gated: `out(act(gate·x) ⊙ in·x)`; plain: `out(act(in·x))`. */
  readonly gatedFeedForward: boolean;
  readonly activation: ActivationName;
  readonly relativePositionBuckets: number;
  readonly relativePositionMaxDistance: number;
  readonly normEpsilon: number;
  /** The head is the token table, if the checkpoint has no head of its own. */
  readonly tiedHead: boolean;
  /** Whether a tied head takes the decoder's output times 1/√width. */
  readonly scaleTiedHead: boolean;
  readonly padTokenId: number;
  /** What the decoder begins with. */
  readonly decoderStartTokenId: number;
  readonly endTokenIds: readonly number[];
}

/** The defaults of `T5Config`. */
const t5Schema = z.looseObject({
  vocab_size: withDefault(size, 32128),
  d_model: withDefault(size, 512),
  d_kv: withDefault(size, 64),
  d_ff: withDefault(size, 2048),
  num_layers: withDefault(size, 6),
  num_decoder_layers: z.nullish(size),
  num_heads: withDefault(size, 8),
  relative_attention_num_buckets: withDefault(size, 32),
  relative_attention_max_distance: withDefault(size, 128),
  layer_norm_epsilon: withDefault(positive, 1e-6),
  feed_forward_proj: withDefault(z.string(), 'relu'),
  dense_act_fn: z.nullish(activationName),
  is_gated_act: z.nullish(flag),
  tie_word_embeddings: withDefault(flag, true),
  scale_decoder_outputs: z.nullish(flag),
  pad_token_id: withDefault(tokenId, 0),
  eos_token_id: withDefault(tokenIds, [1]),
  decoder_start_token_id: z.nullish(tokenId),
});

/**
 * Reads a Hugging Face T5 configuration: a plain `config.json`, or the `text_config` of a BLIP-2 one.
 *
 * `dense_act_fn` wins over `feed_forward_proj`: BLIP-2's Flan-T5 computes the exact GELU, plain Flan-T5 the tanh form.
 *
 * @throws {ConfigError} for a field that does not fit, or the configuration of another kind of model.
 *
 * @example
 * const config = t5ConfigFromJson({ model_type: 't5', d_model: 2048, feed_forward_proj: 'gated-gelu', dense_act_fn: 'gelu' });
 */
export function t5ConfigFromJson(json: unknown): T5Config {
  const fields = parseConfig(t5Schema, json, 'T5', 't5');
  const feedForward = parseFeedForward(fields.feed_forward_proj);
  if (fields.relative_attention_num_buckets < 4 || fields.relative_attention_num_buckets % 2 !== 0) {
    throw new ConfigError(
      `T5 configuration: relative_attention_num_buckets is ${fields.relative_attention_num_buckets}, expected an even number of 4 or more. Correct config.json.`,
    );
  }
  return {
    vocabSize: fields.vocab_size,
    width: fields.d_model,
    encoderLayers: fields.num_layers,
    decoderLayers: fields.num_decoder_layers ?? fields.num_layers,
    heads: fields.num_heads,
    headWidth: fields.d_kv,
    feedForwardWidth: fields.d_ff,
    gatedFeedForward: fields.is_gated_act ?? feedForward.gated,
    activation: fields.dense_act_fn ?? feedForward.activation,
    relativePositionBuckets: fields.relative_attention_num_buckets,
    relativePositionMaxDistance: fields.relative_attention_max_distance,
    normEpsilon: fields.layer_norm_epsilon,
    tiedHead: fields.tie_word_embeddings,
    scaleTiedHead: fields.scale_decoder_outputs ?? fields.tie_word_embeddings,
    padTokenId: fields.pad_token_id,
    decoderStartTokenId: fields.decoder_start_token_id ?? fields.pad_token_id,
    endTokenIds: fields.eos_token_id,
  };
}

/** `relu`, `gated-gelu` (which has always meant the tanh form), `gated-silu`, … */
function parseFeedForward(projection: string): { gated: boolean; activation: ActivationName } {
  const gated = projection.startsWith('gated-');
  const name = gated ? projection.slice('gated-'.length) : projection;
  const parsed = z.safeParse(activationName, projection === 'gated-gelu' ? 'gelu_new' : name);
  if (parsed.success) return { gated, activation: parsed.data };
  throw new ConfigError(
    `T5 configuration: feed_forward_proj is ${JSON.stringify(projection)}, expected an activation such as "relu", or "gated-" and one. ` +
      `Correct config.json, or set dense_act_fn and is_gated_act there.`,
  );
}

/** The published sizes of Flan-T5. */
export type FlanT5Size = 'small' | 'base' | 'large' | 'xl' | 'xxl';

/** Width, feed-forward width, heads, layers of each stack. Source: the published `config.json` files. */
const FLAN_T5_SIZES: Readonly<Record<FlanT5Size, readonly [width: number, feedForward: number, heads: number, layers: number]>> =
  {
    small: [512, 1024, 6, 8],
    base: [768, 2048, 12, 12],
    large: [1024, 2816, 16, 24],
    xl: [2048, 5120, 32, 24],
    xxl: [4096, 10240, 64, 24],
  };

/**
 * The configuration of a published Flan-T5.
 *
 * @param overrides - Fields to change, such as `{ activation: 'gelu' }` for Flan-T5 inside BLIP-2.
 *
 * @example
 * const config = flanT5Config('xl', { activation: 'gelu' });
 */
export function flanT5Config(name: FlanT5Size, overrides: Partial<T5Config> = {}): T5Config {
  const [width, feedForward, heads, layers] = FLAN_T5_SIZES[name];
  const published = t5ConfigFromJson({
    d_model: width,
    d_ff: feedForward,
    num_heads: heads,
    num_layers: layers,
    feed_forward_proj: 'gated-gelu',
    tie_word_embeddings: false,
  });
  return { ...published, ...overrides };
}
