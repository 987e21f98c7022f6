import { ACTIVATION_NAMES, ConfigError, type ActivationName } from '@blip2/core';
import { z } from 'zod';

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

const size = z.number().int().positive();
const activationName = z.enum(ACTIVATION_NAMES as [ActivationName, ...ActivationName[]]);

/** Fields of both families; `.default` gives what transformers assumes for a missing one. */
const eva = z.object({
  image_size: size.default(224),
  patch_size: size.default(14),
  hidden_size: size.default(1408),
  num_hidden_layers: size.default(39),
  num_attention_heads: size.default(16),
  intermediate_size: size.default(6144),
  hidden_act: activationName.default('gelu'),
  layer_norm_eps: z.number().positive().default(1e-6),
  qkv_bias: z.boolean().default(true),
  num_channels: z.literal(3).default(3),
});
const clip = z.object({
  image_size: size.default(224),
  patch_size: size.default(32),
  hidden_size: size.default(768),
  num_hidden_layers: size.default(12),
  num_attention_heads: size.default(12),
  intermediate_size: size.default(3072),
  hidden_act: activationName.default('quick_gelu'),
  layer_norm_eps: z.number().positive().default(1e-5),
  num_channels: z.literal(3).default(3),
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
  if (!isObject(json)) {
    throw new ConfigError(`vision config is ${typeOf(json)}, expected an object. Pass the parsed config.json of a vision model.`);
  }
  const outer = json.model_type;
  const inner = outer === 'blip-2' || outer === 'clip' ? (json.vision_config ?? {}) : json;
  if (!isObject(inner)) {
    throw new ConfigError(`vision_config is ${typeOf(inner)}, expected an object. Check config.json, or download it again.`);
  }
  const modelType = inner.model_type ?? VISION_MODEL_TYPES[String(outer)];
  const config = modelType === 'clip_vision_model' ? clipConfig(inner) : evaConfig(inner, modelType, options);
  return checked({
    ...config,
    layers: options.layers ?? config.layers,
    normEpsilon: options.normEpsilon ?? config.normEpsilon,
  });
}

function evaConfig(json: object, modelType: unknown, options: VisionConfigOptions): VisionTransformerConfig {
  if (modelType !== 'blip_2_vision_model') {
    throw new ConfigError(
      `vision config: model_type is ${JSON.stringify(modelType)}, expected 'blip-2', 'clip', 'blip_2_vision_model' or 'clip_vision_model'. ` +
        `Pass the config.json of such a model.`,
    );
  }
  const fields = parse(eva, json);
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

function clipConfig(json: object): VisionTransformerConfig {
  const fields = parse(clip, json);
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

type CommonFields = z.infer<typeof clip>;
type CommonSizes = Pick<
  VisionTransformerConfig,
  'imageSize' | 'patchSize' | 'width' | 'layersInCheckpoint' | 'heads' | 'feedForwardWidth' | 'activation' | 'normEpsilon'
>;

function sizes(fields: CommonFields): CommonSizes {
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

function parse<Fields>(schema: z.ZodType<Fields>, json: object): Fields {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new ConfigError(`vision config: ${problems.join('; ')}. Check config.json, or download it again.`, {
    cause: result.error,
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function typeOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'an array' : `of type ${typeof value}`;
}
