import * as z from 'zod/mini';
import {
  count,
  fieldOf,
  headsDivide,
  positive,
  probability,
  validate,
  withDefault,
  type ParseOptions,
  type Schema,
} from './validate.ts';
import { assertModelType } from './model-type.ts';
import { parseQuantizationConfig } from './quantization-config.ts';

/** `vision_config` of BLIP-2, complete. The EVA-CLIP ViT-g/14 of the released models unless the file says otherwise. */
export interface Blip2VisionConfigJson {
  readonly model_type: 'blip_2_vision_model';
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  /** Pixels on a side. */
  readonly image_size: number;
  readonly patch_size: number;
  readonly hidden_act: string;
  readonly layer_norm_eps: number;
  readonly attention_dropout: number;
  readonly initializer_range: number;
  readonly qkv_bias: boolean;
}

/** `config.json` of a CLIP vision model, complete. */
export interface ClipVisionConfigJson {
  readonly model_type: 'clip_vision_model';
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly projection_dim: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_channels: number;
  readonly image_size: number;
  readonly patch_size: number;
  readonly hidden_act: string;
  readonly layer_norm_eps: number;
  readonly attention_dropout: number;
  readonly initializer_range: number;
  readonly initializer_factor: number;
}

/** Either kind of vision encoder; `model_type` tells. */
export type VisionConfigJson = Blip2VisionConfigJson | ClipVisionConfigJson;

/** Source: transformers, `Blip2VisionConfig`. */
export const blip2VisionConfigSchema: Schema<Blip2VisionConfigJson> = z
  .looseObject({
    model_type: withDefault(z.literal('blip_2_vision_model'), 'blip_2_vision_model'),
    hidden_size: withDefault(count, 1408),
    intermediate_size: withDefault(count, 6144),
    num_hidden_layers: withDefault(count, 39),
    num_attention_heads: withDefault(count, 16),
    image_size: withDefault(count, 224),
    patch_size: withDefault(count, 14),
    hidden_act: withDefault(z.string(), 'gelu'),
    layer_norm_eps: withDefault(positive, 1e-6),
    attention_dropout: withDefault(probability, 0),
    initializer_range: withDefault(z.number(), 1e-10),
    qkv_bias: withDefault(z.boolean(), true),
  })
  .check(headsDivide('hidden_size'));

/** Source: transformers, `CLIPVisionConfig`. */
export const clipVisionConfigSchema: Schema<ClipVisionConfigJson> = z
  .looseObject({
    model_type: withDefault(z.literal('clip_vision_model'), 'clip_vision_model'),
    hidden_size: withDefault(count, 768),
    intermediate_size: withDefault(count, 3072),
    projection_dim: withDefault(count, 512),
    num_hidden_layers: withDefault(count, 12),
    num_attention_heads: withDefault(count, 12),
    num_channels: withDefault(count, 3),
    image_size: withDefault(count, 224),
    patch_size: withDefault(count, 32),
    hidden_act: withDefault(z.string(), 'quick_gelu'),
    layer_norm_eps: withDefault(positive, 1e-5),
    attention_dropout: withDefault(probability, 0),
    initializer_range: withDefault(z.number(), 0.02),
    initializer_factor: withDefault(z.number(), 1),
  })
  .check(headsDivide('hidden_size'));

/**
 * Completes the configuration of a CLIP vision model, alone or inside a whole CLIP model's `config.json`.
 *
 * @param json - The parsed file.
 * @param fileName - For messages.
 * @returns the fields of the file, and the reference's values for those it leaves out.
 * @throws {ConfigError} for another model's configuration, or a value that cannot be.
 *
 * Source: transformers, `CLIPVisionConfig`.
 */
export function parseClipVisionConfig(json: unknown, fileName = 'config.json'): ClipVisionConfigJson {
  assertModelType(json, ['clip_vision_model', 'clip'], fileName);
  parseQuantizationConfig(json, fileName); // refuses other libraries' formats
  const vision = fieldOf(json, 'model_type') === 'clip' ? (fieldOf(json, 'vision_config') ?? {}) : json;
  return validate(clipVisionConfigSchema, vision, fileName);
}

/**
 * Warns of the normalisation epsilon that some files carry by mistake.
 *
 * Source: the Hub's repositories, "Update layer norm eps", September 2023.
 */
export function warnOfVisionEpsilon(config: VisionConfigJson, fileName: string, { onWarning }: ParseOptions): void {
  if (config.model_type !== 'blip_2_vision_model' || config.layer_norm_eps !== 1e-5) return;
  onWarning?.(
    `${fileName}: vision_config.layer_norm_eps is 1e-5, as in files from before September 2023; the published weights were trained with 1e-6. ` +
      `Results will differ slightly from the reference. Fetch the file again, or pass visionLayerNormEpsilon: 1e-6.`,
  );
}
