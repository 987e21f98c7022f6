import { ConfigError } from '@blip2/core';
import * as z from 'zod/mini';
import { optConfigSchema, parseOptConfig, parseT5Config, t5ConfigSchema, type LanguageConfigJson } from './language-config.ts';
import { quote } from '../json/parse-json.ts';
import { assertModelType } from './model-type.ts';
import { parseQuantizationConfig } from './quantization-config.ts';
import {
  blip2VisionConfigSchema,
  clipVisionConfigSchema,
  parseClipVisionConfig,
  warnOfVisionEpsilon,
  type ClipVisionConfigJson,
  type VisionConfigJson,
} from './vision-config.ts';
import {
  completed,
  count,
  fieldOf,
  headsDivide,
  positive,
  probability,
  tokenId,
  validate,
  withDefault,
  type ParseOptions,
  type Schema,
} from './validate.ts';

/** `qformer_config`, complete. */
export interface QFormerConfigJson {
  readonly model_type: 'blip_2_qformer';
  /** 30,522 words of BERT; one more in matching models, for `[DEC]`. */
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly intermediate_size: number;
  readonly hidden_act: string;
  readonly hidden_dropout_prob: number;
  readonly attention_probs_dropout_prob: number;
  readonly max_position_embeddings: number;
  readonly layer_norm_eps: number;
  readonly initializer_range: number;
  readonly pad_token_id: number;
  /** Every so many layers, from the first on, look at the image. */
  readonly cross_attention_frequency: number;
  /** Width of the image features: always that of the vision encoder. */
  readonly encoder_hidden_size: number;
  /** Whether the Q-Former reads text too: matching models do, generating ones do not. */
  readonly use_qformer_text_input: boolean;
}

/** `config.json` of a BLIP-2 model, complete: every field has a value, under the Hub's names. */
export interface Blip2ConfigJson {
  readonly model_type: 'blip-2';
  readonly num_query_tokens: number;
  /** Width of the contrastive features. */
  readonly image_text_hidden_size: number;
  /** The id that stands for an image in a prompt; files from before November 2024 have none. */
  readonly image_token_index: number | null;
  readonly use_decoder_only_language_model: boolean;
  readonly initializer_factor: number;
  readonly initializer_range: number;
  readonly tie_word_embeddings: boolean;
  readonly vision_config: VisionConfigJson;
  readonly qformer_config: QFormerConfigJson;
  /** In matching models only a filler: they have no language model. */
  readonly text_config: LanguageConfigJson;
}

/** The configuration of any model that blip2.js loads; `model_type` tells. */
export type ModelConfigJson = Blip2ConfigJson | LanguageConfigJson | ClipVisionConfigJson;

/** Source: transformers, `Blip2QFormerConfig`. Early matching models spell the last field `qformer_text_input`. */
const qformerConfigSchema: Schema<QFormerConfigJson> = completed(
  z
    .looseObject({
      model_type: withDefault(z.literal('blip_2_qformer'), 'blip_2_qformer'),
      vocab_size: withDefault(count, 30522),
      hidden_size: withDefault(count, 768),
      num_hidden_layers: withDefault(count, 12),
      num_attention_heads: withDefault(count, 12),
      intermediate_size: withDefault(count, 3072),
      hidden_act: withDefault(z.string(), 'gelu'),
      hidden_dropout_prob: withDefault(probability, 0.1),
      attention_probs_dropout_prob: withDefault(probability, 0.1),
      max_position_embeddings: withDefault(count, 512),
      layer_norm_eps: withDefault(positive, 1e-12),
      initializer_range: withDefault(z.number(), 0.02),
      pad_token_id: withDefault(tokenId, 0),
      cross_attention_frequency: withDefault(count, 2),
      encoder_hidden_size: withDefault(count, 1408),
      use_qformer_text_input: z.nullish(z.boolean()),
      qformer_text_input: z.nullish(z.boolean()),
    })
    .check(headsDivide('hidden_size')),
  ({ use_qformer_text_input: current, qformer_text_input: early, ...config }) => ({
    ...config,
    use_qformer_text_input: current ?? early ?? false,
  }),
);

/** One of several schemas by `model_type`; the first where it is absent. */
function byModelType<Config>(schemas: Readonly<Record<string, Schema<Config>>>): Schema<Config> {
  const known = Object.keys(schemas);
  const choose = z.transform((json: unknown, { issues }: z.core.ParsePayload): Config => {
    const type = String(fieldOf(json, 'model_type') ?? known[0]);
    const schema = Object.hasOwn(schemas, type) ? schemas[type] : undefined;
    if (schema === undefined) {
      issues.push({ code: 'custom', path: ['model_type'], message: `expected ${known.map(quote).join(' or ')}`, input: json });
      return z.NEVER;
    }
    const result = z.safeParse(schema, json ?? {});
    if (!result.success) issues.push(...result.error.issues.map((issue) => ({ ...issue, input: json }) as z.core.$ZodRawIssue));
    return result.data ?? z.NEVER;
  });
  return z.prefault(choose, {});
}

const visionSchema: Schema<VisionConfigJson> = byModelType<VisionConfigJson>({
  blip_2_vision_model: blip2VisionConfigSchema,
  clip_vision_model: clipVisionConfigSchema,
});
const languageSchema: Schema<LanguageConfigJson> = byModelType<LanguageConfigJson>({
  opt: optConfigSchema,
  t5: t5ConfigSchema,
});

/** Source: transformers, `Blip2Config`. The image token has two spellings. */
const blip2ConfigSchema: Schema<Blip2ConfigJson> = completed(
  z.looseObject({
    model_type: withDefault(z.literal('blip-2'), 'blip-2'),
    num_query_tokens: withDefault(count, 32),
    image_text_hidden_size: withDefault(count, 256),
    image_token_index: z.nullish(tokenId),
    image_token_id: z.nullish(tokenId),
    use_decoder_only_language_model: z.nullish(z.boolean()),
    initializer_factor: withDefault(z.number(), 1),
    initializer_range: withDefault(z.number(), 0.02),
    tie_word_embeddings: z.nullish(z.boolean()),
    vision_config: visionSchema,
    qformer_config: byModelType({ blip_2_qformer: qformerConfigSchema }),
    text_config: languageSchema,
  }),
  ({ image_token_index: index, image_token_id: id, ...config }) => ({
    ...config,
    image_token_index: index ?? id ?? null,
    use_decoder_only_language_model: config.text_config.model_type === 'opt',
    tie_word_embeddings: config.tie_word_embeddings ?? config.text_config.tie_word_embeddings,
    qformer_config: { ...config.qformer_config, encoder_hidden_size: config.vision_config.hidden_size },
  }),
);

/**
 * Completes the configuration of a BLIP-2 model.
 *
 * @param json - The parsed `config.json`. Fields nobody knows are kept and not looked at.
 * @param fileName - For messages.
 * @returns the fields of the file, and the reference's values for those it leaves out, at every level.
 * @throws {ConfigError} for another model's configuration, or a value that cannot be.
 *
 * @example
 * const config = parseBlip2Config({ model_type: 'blip-2' });
 * config.vision_config.hidden_size; // 1408
 *
 * Source: transformers, `Blip2Config`.
 */
export function parseBlip2Config(json: unknown, fileName = 'config.json', options: ParseOptions = {}): Blip2ConfigJson {
  assertModelType(json, ['blip-2'], fileName);
  parseQuantizationConfig(json, fileName); // refuses other libraries' formats
  const config = validate(blip2ConfigSchema, json, fileName);
  const { visionLayerNormEpsilon: epsilonOverride } = options;
  if (epsilonOverride !== undefined) {
    return { ...config, vision_config: { ...config.vision_config, layer_norm_eps: epsilonOverride } };
  }
  warnOfVisionEpsilon(config.vision_config, fileName, options);
  return config;
}

/** Parsers by the `model_type` of the file. */
const PARSERS: Readonly<Record<string, (json: unknown, fileName: string, options: ParseOptions) => ModelConfigJson>> = {
  'blip-2': parseBlip2Config,
  opt: parseOptConfig,
  t5: parseT5Config,
  clip_vision_model: parseClipVisionConfig,
  clip: parseClipVisionConfig,
};

/**
 * Completes the configuration of whatever model it is: BLIP-2, OPT, T5, or the vision model of CLIP.
 *
 * @throws {ConfigError} for a model that blip2.js does not have, or a value that cannot be.
 */
export function parseModelConfig(json: unknown, fileName = 'config.json', options: ParseOptions = {}): ModelConfigJson {
  assertModelType(json, Object.keys(PARSERS), fileName);
  const parse = PARSERS[String(fieldOf(json, 'model_type'))];
  if (parse === undefined) throw new ConfigError(`${fileName}: has no parser for its model_type.`);
  return parse(json, fileName, options);
}
