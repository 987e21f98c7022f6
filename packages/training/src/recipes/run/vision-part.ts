import { type Checkpoint, ConfigError, readCheckpointJson, renamedWeight, type Weight, type WeightSource } from '@blip2/core';
import { interpolatePositions, isVisionWeight, visionConfigFromJson, type VisionTransformerConfig } from '@blip2/vision-encoder';

/** An image encoder, and how its configuration is written. */
export interface VisionPart {
  readonly config: VisionTransformerConfig;
  readonly weights: WeightSource;
  readonly json: Readonly<Record<string, unknown>>;
}

/** Weights of the final norm: they are `ln_vision`, which trains with the Q-Former. */
export function isImageNorm(name: string): boolean {
  return name.startsWith('vision_model.post_layernorm.');
}

/**
 * The image encoder of a checkpoint, under the names of a BLIP-2 model and for images of another size, where one is asked for.
 *
 * @param imageSize - @default that of the checkpoint
 * @throws {ConfigError} when the size is no multiple of the patches.
 */
export async function visionPartOf(checkpoint: Checkpoint, imageSize?: number): Promise<VisionPart> {
  const whole = (await readCheckpointJson(checkpoint, 'config.json')) as Record<string, unknown>;
  const config = visionConfigFromJson(whole);
  const inner = (whole['vision_config'] ?? whole) as Record<string, unknown>;
  const json = { ...inner, model_type: config.naming === 'clip' ? 'clip_vision_model' : 'blip_2_vision_model' };
  const weights = prefixed(checkpoint.weights);
  if (imageSize === undefined || imageSize === config.imageSize) return { config, weights, json };
  if (imageSize % config.patchSize !== 0) {
    throw new ConfigError(
      `imageSize is ${imageSize}, expected a multiple of the patches of ${config.patchSize} pixels, such as ` +
        `${Math.round(imageSize / config.patchSize) * config.patchSize}. The model was trained with ${config.imageSize}.`,
    );
  }
  return {
    config: { ...config, imageSize },
    weights: withPositionsFor(weights, config, imageSize),
    json: { ...json, image_size: imageSize },
  };
}

/** The encoder's weights alone, in a model of several parts or alone; bare names get their prefix. */
function prefixed(source: WeightSource): WeightSource {
  const isBare = source.get('vision_model.embeddings.class_embedding') === undefined;
  const own = source.names.filter((name) =>
    isBare ? isVisionWeight(name) || name.startsWith('embeddings.') : name.startsWith('vision_model.'),
  );
  const weights = new Map(
    own
      .filter((name) => !name.endsWith('position_ids'))
      .map((name) => [name, isBare ? `vision_model.${name}` : name] as const)
      .map(([name, hubName]) => [hubName, renamedWeight(source.get(name)!, hubName)]),
  );
  return { name: source.name, names: [...weights.keys()], get: (name) => weights.get(name) };
}

/** The same weights with a position table for another grid of patches; it is computed when it is read. */
function withPositionsFor(source: WeightSource, config: VisionTransformerConfig, imageSize: number): WeightSource {
  const name = ['vision_model.embeddings.position_embedding', 'vision_model.embeddings.position_embedding.weight'].find(
    (one) => source.get(one) !== undefined,
  );
  if (name === undefined) return source; // the loader says what is missing
  const table = source.get(name)!;
  const [from, to] = [config.imageSize, imageSize].map((size) => {
    const side = Math.floor(size / config.patchSize);
    return { rows: side, columns: side };
  });
  const shape = [...table.shape.slice(0, -2), 1 + to!.rows * to!.columns, config.width];
  const read = async (options?: { readonly abortSignal?: AbortSignal }): Promise<Float32Array> =>
    interpolatePositions(Float32Array.from(await table.read(options)), from!, to!, config);
  const resized: Weight = {
    name,
    dtype: 'F32',
    shape,
    read,
    rows: () => {
      throw new ConfigError(`${name}: has no rows before it is read.`);
    },
  };
  return { ...source, get: (one) => (one === name ? resized : source.get(one)) };
}
