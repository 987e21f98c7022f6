import { type Blip2ConfigJson, readBlip2Config } from '@blip2/checkpoints';
import { type Checkpoint, describeOnlyReader, sizeOf, type TakenWeight, type WeightSource } from '@blip2/core';
import { describeLanguageModel } from '@blip2/llm-adapters';
import { describeQFormer, qformerConfigFromJson } from '@blip2/qformer';
import { describeVisionTransformer, visionConfigFromJson } from '@blip2/vision-encoder';
import { type Part, partOf, PARTS, storedBytes } from './parts.ts';

/** What one part of a model is made of. */
export interface InspectedPart {
  readonly part: Part;
  readonly parameters: number;
  /** Parameters that the phase trains: stage 2 for models with a language model, stage 1 for matching models. */
  readonly trainable: number;
  /** Bytes in the checkpoint; `undefined` for a configuration without weights. */
  readonly storedBytes?: number;
  /** Parameters by stored number format; quantised ones are `int8` and `int4`. */
  readonly dtypes?: Readonly<Record<string, number>>;
}

/** What a model is made of, and whether its checkpoint is complete. */
export interface Inspection {
  readonly parts: readonly InspectedPart[];
  readonly parameters: number;
  readonly trainable: number;
  /** Weights that the configuration asks for and the checkpoint lacks. Empty without weights. */
  readonly missing: readonly string[];
  /** Weights of the checkpoint that nothing reads: tied copies, buffers, strangers. */
  readonly unused: readonly string[];
}

/**
 * What stage 2 trains beside the frozen image encoder and language model: the Q-Former, its projections and heads, and
 * `ln_vision`, the norm behind the image encoder. Source: section 3 of the paper; `ln_vision` as in LAVIS.
 */
function isTrained(name: string): boolean {
  return name.startsWith('vision_model.post_layernorm.') || !/^(vision_model|language_model)\./.test(name);
}

/**
 * Counts a model's parameters from its configuration, part by part; no weights are needed.
 *
 * @param config - The content of `config.json`, such as one of {@link BLIP2_CONFIGS}.
 *
 * @example
 * inspectConfig(parseBlip2Config(BLIP2_CONFIGS['blip2-opt-2.7b'])).parameters; // 3744761856
 */
export function inspectConfig(config: Blip2ConfigJson): Inspection {
  return inspect(expectedWeights(config), undefined);
}

/**
 * Compares a checkpoint with its configuration: parameters, number formats and bytes part by part, what is missing
 * and what nothing reads. Reads headers only. A folder without weights is inspected by its configuration.
 *
 * @example
 * const { missing } = await inspectCheckpoint(await openCheckpoint('./blip2-opt-2.7b'));
 */
export async function inspectCheckpoint(checkpoint: Checkpoint): Promise<Inspection> {
  const config = await readBlip2Config(checkpoint);
  return inspect(expectedWeights(config, checkpoint.weights), checkpoint.weights);
}

function inspect(expected: readonly TakenWeight[], source: WeightSource | undefined): Inspection {
  const parts = PARTS.flatMap((part) => {
    const weights = expected.filter(({ name }) => partOf(name) === part);
    return weights.length === 0 ? [] : [inspectPart(part, weights, source)];
  });
  const names = new Set(expected.map(({ name }) => name));
  return {
    parts,
    parameters: parts.reduce((sum, { parameters }) => sum + parameters, 0),
    trainable: parts.reduce((sum, { trainable }) => sum + trainable, 0),
    missing: source === undefined ? [] : expected.map(({ name }) => name).filter((name) => source.get(name) === undefined),
    unused: source === undefined ? [] : source.names.filter((name) => !names.has(name)),
  };
}

function inspectPart(part: Part, weights: readonly TakenWeight[], source: WeightSource | undefined): InspectedPart {
  const parameters = weights.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const trained = weights.filter(({ name }) => isTrained(name));
  const trainable = trained.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const counted = { part, parameters, trainable };
  if (source === undefined) return counted;
  const stored = weights.flatMap(({ name }) => source.get(name) ?? []);
  const dtypes: Record<string, number> = {};
  for (const { dtype, shape, quantized } of stored) {
    const format = quantized === undefined ? dtype : `int${quantized.bits}`;
    dtypes[format] = (dtypes[format] ?? 0) + sizeOf(shape);
  }
  return { ...counted, storedBytes: stored.reduce((sum, weight) => sum + storedBytes(weight), 0), dtypes };
}

/**
 * The weights that the loaders would take: from the configuration, and where it leaves a choice, as the source has them.
 *
 * @example
 * expectedWeights(parseBlip2Config(BLIP2_CONFIGS['blip2-itm-vit-g'])).length; // 809 less the tied and derived ones
 */
export function expectedWeights(config: Blip2ConfigJson, source?: WeightSource): TakenWeight[] {
  // Matching models carry a language configuration as filler only.
  const hasLanguageModel = !config.qformer_config.use_qformer_text_input;
  // OPT's head is its embedding: a second copy in the file is one matrix all the same.
  const isTiedCopy = (name: string): boolean => config.text_config.model_type === 'opt' && name.endsWith('lm_head.weight');
  const reader = describeOnlyReader('model', (name) => source?.get(name) !== undefined && !isTiedCopy(name));
  describeVisionTransformer(reader, visionConfigFromJson(config.vision_config));
  describeQFormer(reader, qformerConfigFromJson(config));
  if (hasLanguageModel) describeLanguageModel(reader, config.text_config);
  return [...reader.taken];
}
