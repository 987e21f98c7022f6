import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseBlip2Config } from '@blip2/checkpoints';
import { type NamedTensorData, writeSafetensorsFile } from '@blip2/checkpoints/node';
import { describeOnlyReader, seededRandom, sizeOf, type TakenWeight } from '@blip2/core';
import { describeLanguageModel } from '@blip2/llm-adapters';
import { describeQFormer, qformerConfigFromJson, type QFormerConfig } from '@blip2/qformer';
import { BLIP2_CONFIGS, expectedWeights } from 'blip2/node';
import { type RandomCheckpoint, randomNormals, writeRandomCheckpoint } from '../random-checkpoint.ts';

/**
 * What both sides read: random checkpoints in the Hugging Face layout, and one file of inputs. They are written once,
 * outside the repository.
 */

/** The models that are measured. */
export type ModelName = 'itm-vit-g' | 'opt-2.7b' | 'flan-t5-xl' | 'stage-1';

/** Changes when what is written changes, so that old files are not taken for new ones. */
const VERSION = 'v1';

/** Rows of every input; a comparison takes as many as it needs. */
const BATCH = 8;
/** Tokens of a training text, as in LAVIS; of a text to match; of a language model's prompt: 32 queries and a question. */
const TRAINING_TOKENS = 32;
const MATCHING_TOKENS = 16;
const PROMPT_TOKENS = 40;

/** A place for checkpoints and inputs. */
export class BenchmarkData {
  readonly #folder: string;
  readonly #small: boolean;

  /**
   * @param folder - For everything; made when needed.
   * @param options.small - Models of a few layers and small widths, with which everything runs in seconds.
   */
  constructor(folder: string, { small = false }: { readonly small?: boolean } = {}) {
    this.#folder = join(folder, `${small ? 'small' : 'full'}-${VERSION}`);
    this.#small = small;
  }

  /** What engines keep between starts. */
  get cacheFolder(): string {
    return join(this.#folder, 'cache');
  }

  /** A model's folder, written if it is not there. @param onWrite - Told when writing begins. */
  async checkpoint(name: ModelName, onWrite?: (message: string) => void): Promise<string> {
    const folder = join(this.#folder, name);
    if (existsSync(join(folder, 'config.json'))) return folder;
    const checkpoint = randomCheckpointOf(name, this.#small);
    const gigabytes = (parametersOf(checkpoint.weights) * (checkpoint.dtype === 'F32' ? 4 : 2)) / 1e9;
    onWrite?.(`writing ${name}, ${gigabytes.toFixed(2)} GB, once, to ${folder}`);
    await writeRandomCheckpoint(folder, checkpoint);
    return folder;
  }

  /** How many numbers a model has; a tied matrix counts once. */
  parameterCount(name: ModelName): number {
    return parametersOf(randomCheckpointOf(name, this.#small).weights);
  }

  /** The file of inputs, written if it is not there. */
  async inputs(): Promise<string> {
    const path = join(this.#folder, 'inputs.safetensors');
    if (existsSync(path)) return path;
    await mkdir(this.#folder, { recursive: true });
    await writeSafetensorsFile(path, inputTensors(this.#small));
    return path;
  }
}

function parametersOf(weights: readonly TakenWeight[]): number {
  return weights.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}

function randomCheckpointOf(name: ModelName, small: boolean): RandomCheckpoint {
  const matching = matchingConfigJson(small);
  switch (name) {
    case 'itm-vit-g':
      return { weights: expectedWeights(parseBlip2Config(matching)), config: matching, dtype: 'F16' };
    case 'stage-1': {
      const reader = describeOnlyReader('Q-Former');
      describeQFormer(reader, stageOneConfig(matching));
      return { weights: reader.taken, config: matching, dtype: 'F32' };
    }
    case 'opt-2.7b':
    case 'flan-t5-xl': {
      const config = languageConfigJson(name, small);
      const reader = describeOnlyReader('language model');
      describeLanguageModel(reader, config);
      // The names of a language model alone, where the reader imagined one inside BLIP-2.
      const weights = reader.taken.map((weight) => ({ ...weight, name: weight.name.replace(/^language_model\./, '') }));
      return { weights, config, dtype: 'BF16', tokenizer: name === 'opt-2.7b' ? 'opt' : 't5' };
    }
  }
}

/**
 * The Q-Former of stage 1 with all heads, at the widths of a matching model.
 * @param json - The `config.json` beside the weights.
 */
export function stageOneConfig(json: unknown): QFormerConfig {
  return { ...qformerConfigFromJson(json), hasCaptionHead: true, hasTemperature: true };
}

type Json = Readonly<Record<string, unknown>>;

function matchingConfigJson(small: boolean): Json {
  // JavaScript writes the number 1.0 as 1, which transformers refuses here; it is the default.
  const { initializer_factor: _, ...config } = BLIP2_CONFIGS['blip2-itm-vit-g'] as Json;
  if (!small) return config;
  return {
    ...config,
    image_text_hidden_size: 32,
    num_query_tokens: 4,
    vision_config: withSizes(config['vision_config'], {
      hidden_size: 64,
      intermediate_size: 96,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      image_size: 56,
    }),
    qformer_config: withSizes(config['qformer_config'], {
      hidden_size: 48,
      intermediate_size: 64,
      num_hidden_layers: 3,
      num_attention_heads: 4,
      encoder_hidden_size: 64,
    }),
  };
}

function languageConfigJson(name: 'opt-2.7b' | 'flan-t5-xl', small: boolean): Json {
  const isOpt = name === 'opt-2.7b';
  const { text_config: config } = BLIP2_CONFIGS[`blip2-${name}`] as { readonly text_config: Json };
  const architectures = [isOpt ? 'OPTForCausalLM' : 'T5ForConditionalGeneration'];
  if (!small) return { architectures, ...config };
  const optSizes = { hidden_size: 64, word_embed_proj_dim: 64, ffn_dim: 96, num_hidden_layers: 2, num_attention_heads: 4 };
  const t5Sizes = { d_model: 64, d_ff: 96, d_kv: 16, num_heads: 4, num_layers: 2, num_decoder_layers: 2 };
  return { architectures, ...withSizes(config, isOpt ? optSizes : t5Sizes) };
}

function withSizes(config: unknown, sizes: Json): Json {
  return { ...(config as Json), ...sizes };
}

/**
 * Images as normalised pixels, image features, and token ids between the special ones and the ends of all three
 * vocabularies. Training texts have different lengths; their first token is `[CLS]`, their last `[SEP]`.
 */
function inputTensors(small: boolean): NamedTensorData[] {
  const { vision_config: vision } = matchingConfigJson(small) as { readonly vision_config: Record<string, number> };
  const side = vision['image_size']!;
  const tokens = (side / vision['patch_size']!) ** 2 + 1;
  const random = seededRandom(2);
  const drawIds = (rows: number, length: number): Int32Array =>
    Int32Array.from({ length: rows * length }, () => 1000 + Math.floor(random() * 29_000));
  const { ids, mask } = trainingTexts(drawIds(BATCH, TRAINING_TOKENS));
  return [
    normals('images', [BATCH, side, side, 3], 11),
    normals('features', [BATCH, tokens, vision['hidden_size']!], 13),
    { name: 'training_ids', shape: [BATCH, TRAINING_TOKENS], values: ids },
    { name: 'training_mask', shape: [BATCH, TRAINING_TOKENS], values: mask },
    { name: 'matching_ids', shape: [1, MATCHING_TOKENS], values: drawIds(1, MATCHING_TOKENS) },
    { name: 'prompt_ids', shape: [1, PROMPT_TOKENS], values: drawIds(1, PROMPT_TOKENS) },
  ];
}

function normals(name: string, shape: readonly number[], offset: number): NamedTensorData {
  return { name, shape, values: randomNormals(sizeOf(shape), offset) };
}

/** @param ids - `[BATCH, TRAINING_TOKENS]`, changed in place. */
function trainingTexts(ids: Int32Array): { ids: Int32Array; mask: Int32Array } {
  const [begin, end, pad] = [101, 102, 0];
  const mask = new Int32Array(ids.length).fill(1);
  for (let row = 0; row < BATCH; row++) {
    const first = row * TRAINING_TOKENS;
    const length = TRAINING_TOKENS - 2 * row; // 32, 30, … 18
    ids[first] = begin;
    ids[first + length - 1] = end;
    ids.fill(pad, first + length, first + TRAINING_TOKENS);
    mask.fill(0, first + length, first + TRAINING_TOKENS);
  }
  return { ids, mask };
}
