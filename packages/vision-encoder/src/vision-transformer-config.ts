import { type ActivationName, ConfigError } from '@blip2/core';
import * as z from 'zod/mini';
import {
  activationName,
  asObject,
  flag,
  type JsonObject,
  parseFields,
  positive,
  type Schema,
  size,
  withDefault,
} from '@blip2/core/config';

/** Everything that shapes a Vision Transformer. */
export interface VisionTransformerConfig {
  /** How the checkpoint names its weights: as `Blip2VisionModel` (fused queries, keys and values) or as `CLIPVisionModel`. */
  readonly naming: 'blip-2' | 'clip';
  /** Side of the square images that the position table is for, in pixels: 224, 364 or 490. */
  readonly imageSize: number;
  /** Side of a square patch, in pixels. */
  readonly patchSize: number;
  /** Width of a token. */
  readonly width: number;
  /** Blocks that run. */
  readonly layers: number;
  /** Blocks in the checkpoint; those from `layers` on are not read. */
  readonly layersInCheckpoint: number;
  readonly heads: number;
  readonly feedForwardWidth: number;
  readonly activation: ActivationName;
  /** Added to the variance in every layer norm. */
  readonly normEpsilon: number;
  /** Whether patches get a bias: EVA's do, CLIP's do not. */
  readonly patchBias: boolean;
  /** Whether queries, keys and values get biases. */
  readonly attentionBias: boolean;
  /** Whether the tokens are normalised before the first block, as in CLIP. */
  readonly preNorm: boolean;
  /**
   * Where interpolation puts the corners of the position grid: `false` as EVA and transformers do, `true` as LAVIS
   * does for CLIP.
   */
  readonly alignCorners: boolean;
}

/**
 * EVA-CLIP ViT-g/14 at 224 px. Its published file has 40 blocks; BLIP-2 was trained on the output of the 39th.
 *
 * @example
 * const config = { ...EVA_VIT_G, imageSize: 364 }; // the checkpoints fine-tuned on COCO
 *
 * Source: EVA (arXiv 2211.07636), table 3; LAVIS `create_eva_vit_g`; the Hub's `blip2-*` configurations.
 */
export const EVA_VIT_G: VisionTransformerConfig = {
  naming: 'blip-2',
  imageSize: 224,
  patchSize: 14,
  width: 1408,
  layers: 39,
  layersInCheckpoint: 40,
  heads: 16,
  feedForwardWidth: 6144, // ratio 4.3637, cut to a whole number
  activation: 'gelu',
  normEpsilon: 1e-6,
  patchBias: true,
  attentionBias: true,
  preNorm: false,
  alignCorners: false,
};

/**
 * CLIP ViT-L/14 at 224 px. BLIP-2 takes the output of the last block but one: 23 of 24 run.
 *
 * @example
 * const wholeTower = { ...CLIP_VIT_L, layers: 24 };
 *
 * Source: CLIP (arXiv 2103.00020), table 20; BLIP-2 (arXiv 2301.12597), section 3.4; LAVIS `create_clip_vit_L`.
 */
export const CLIP_VIT_L: VisionTransformerConfig = {
  naming: 'clip',
  imageSize: 224,
  patchSize: 14,
  width: 1024,
  layers: 23,
  layersInCheckpoint: 24,
  heads: 16,
  feedForwardWidth: 4096,
  activation: 'quick_gelu',
  normEpsilon: 1e-5,
  patchBias: false,
  attentionBias: true,
  preNorm: true,
  alignCorners: false,
};

/** What a caller may decide over a configuration file. */
export interface VisionConfigOptions {
  /** How many blocks run, counted from the image. @default all for EVA; all but the last for CLIP, as BLIP-2 uses it */
  readonly layers?: number;
  /** Replaces the file's `layer_norm_eps`. */
  readonly normEpsilon?: number;
  /** Told about values that load but are probably wrong. @default `console.warn` */
  readonly onWarning?: (message: string) => void;
}

/** The vision model inside each kind of model; a `vision_config` may leave its type out. */
const VISION_MODEL_TYPES: Readonly<Record<string, string>> = { 'blip-2': 'blip_2_vision_model', clip: 'clip_vision_model' };

/** Fields that both families have. */
interface VisionFields {
  readonly image_size: number;
  readonly patch_size: number;
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly intermediate_size: number;
  readonly hidden_act: ActivationName;
  readonly layer_norm_eps: number;
}

/** Defaults as `Blip2VisionConfig` of transformers has them. */
const evaFields: Schema<VisionFields & { readonly qkv_bias: boolean }> = z.object({
  image_size: withDefault(size, 224),
  patch_size: withDefault(size, 14),
  hidden_size: withDefault(size, 1408),
  num_hidden_layers: withDefault(size, 39),
  num_attention_heads: withDefault(size, 16),
  intermediate_size: withDefault(size, 6144),
  hidden_act: withDefault(activationName, 'gelu'),
  layer_norm_eps: withDefault(positive, 1e-6),
  qkv_bias: withDefault(flag, true),
});

/** Defaults as `CLIPVisionConfig` of transformers has them. */
const clipFields: Schema<VisionFields> = z.object({
  image_size: withDefault(size, 224),
  patch_size: withDefault(size, 32),
  hidden_size: withDefault(size, 768),
  num_hidden_layers: withDefault(size, 12),
  num_attention_heads: withDefault(size, 12),
  intermediate_size: withDefault(size, 3072),
  hidden_act: withDefault(activationName, 'quick_gelu'),
  layer_norm_eps: withDefault(positive, 1e-5),
});

/**
 * Reads a configuration in Hugging Face's form: the `config.json` of a BLIP-2 or CLIP model, of a CLIP vision model,
 * or the `vision_config` of one of them.
 *
 * @throws {ConfigError} for another kind of model, and for values that no Vision Transformer has.
 *
 * @example
 * const config = visionConfigFromJson({ model_type: 'blip_2_vision_model', image_size: 364 });
 *
 * Source: transformers, `configuration_blip_2.py` and `configuration_clip.py`, for names and defaults.
 */
export function visionConfigFromJson(json: unknown, options: VisionConfigOptions = {}): VisionTransformerConfig {
  const whole = asObject(json, 'vision config');
  const outer = whole['model_type'];
  const isWhole = outer === 'blip-2' || outer === 'clip';
  const inner = isWhole ? asObject(whole['vision_config'] ?? {}, 'vision_config') : whole;
  const modelType = inner['model_type'] ?? VISION_MODEL_TYPES[String(outer)];
  const config = modelType === 'clip_vision_model' ? clipConfig(inner) : evaConfig(inner, modelType, options);
  return checked({
    ...config,
    layers: options.layers ?? config.layers,
    normEpsilon: options.normEpsilon ?? config.normEpsilon,
  });
}

function evaConfig(json: JsonObject, modelType: unknown, options: VisionConfigOptions): VisionTransformerConfig {
  if (modelType !== 'blip_2_vision_model') {
    throw new ConfigError(
      `vision config: model_type is ${JSON.stringify(modelType)}, expected 'blip-2', 'clip', 'blip_2_vision_model' or 'clip_vision_model'. ` +
        `Pass the config.json of such a model.`,
    );
  }
  const fields = parseFields(evaFields, json, 'vision config');
  if (fields.layer_norm_eps === 1e-5 && options.normEpsilon === undefined) {
    const warn = options.onWarning ?? ((message: string) => console.warn(message));
    warn(
      `vision config: layer_norm_eps is 1e-5, a mistake in BLIP-2 files from before September 2023; the encoder was trained with 1e-6. ` +
        `Download config.json again, or pass { normEpsilon: 1e-6 }. Passing 1e-5 keeps the value and silences this.`,
    );
  }
  return {
    naming: 'blip-2',
    ...sizes(fields),
    layers: fields.num_hidden_layers,
    patchBias: true,
    attentionBias: fields.qkv_bias,
    preNorm: false,
    alignCorners: false,
  };
}

function clipConfig(json: JsonObject): VisionTransformerConfig {
  const fields = parseFields(clipFields, json, 'vision config');
  return {
    naming: 'clip',
    ...sizes(fields),
    layers: Math.max(1, fields.num_hidden_layers - 1),
    patchBias: false,
    attentionBias: true,
    preNorm: true,
    alignCorners: false,
  };
}

type CommonSizes = Pick<
  VisionTransformerConfig,
  'imageSize' | 'patchSize' | 'width' | 'layersInCheckpoint' | 'heads' | 'feedForwardWidth' | 'activation' | 'normEpsilon'
>;

function sizes(fields: VisionFields): CommonSizes {
  return {
    imageSize: fields.image_size,
    patchSize: fields.patch_size,
    width: fields.hidden_size,
    layersInCheckpoint: fields.num_hidden_layers,
    heads: fields.num_attention_heads,
    feedForwardWidth: fields.intermediate_size,
    activation: fields.hidden_act,
    normEpsilon: fields.layer_norm_eps,
  };
}

/** @throws {ConfigError} for sizes that do not go together. */
function checked(config: VisionTransformerConfig): VisionTransformerConfig {
  const { width, heads, imageSize, patchSize, layers, layersInCheckpoint } = config;
  const fail = (problem: string): never => {
    throw new ConfigError(`vision config: ${problem}. Correct the configuration.`);
  };
  if (width % heads !== 0) fail(`hidden_size ${width} cannot be split into ${heads} heads`);
  if (imageSize < patchSize) fail(`image_size ${imageSize} is below patch_size ${patchSize}`);
  if (!Number.isInteger(layers) || layers < 1 || layers > layersInCheckpoint) {
    fail(`layers is ${layers}, expected a whole number from 1 to ${layersInCheckpoint}`);
  }
  return config;
}
