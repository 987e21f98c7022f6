import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseBlip2Config } from '@blip2/checkpoints';
import { type NamedTensorData, writeSafetensorsFile } from '@blip2/checkpoints/node';
import { describeOnlyReader, seededRandom, sizeOf, type TakenWeight } from '@blip2/core';
import { describeLanguageModel } from '@blip2/llm-adapters';
import { describeQFormer, qformerConfigFromJson, type QFormerConfig } from '@blip2/qformer';
import { expectedWeights } from 'blip2/node';
import { type RandomCheckpoint, randomNormals, writeRandomCheckpoint } from '../random-checkpoint.ts';
import { configJsonOf, type ModelName } from './model-configs.ts';
import { trainingInputs } from './training-inputs.ts';

/**
 * What both sides read: random checkpoints in the Hugging Face layout, and files of inputs. They are written once,
 * outside the repository.
 */

/** Changes when what is written changes, so that old files are not taken for new ones. */
const VERSION = 'v4';

/** Rows of images and features; a comparison takes as many as it needs. */
const BATCH = 8;
/** Tokens of a text to match; of a language model's prompt: 32 queries and a question. */
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

  /** The file of a model's inputs, written if it is not there. What is trained has one of its own. */
  async inputs(name: ModelName): Promise<string> {
    const training = trainingInputs(name, configJsonOf(name, this.#small));
    const path = join(this.#folder, training === undefined ? 'inputs.safetensors' : `inputs-${name}.safetensors`);
    if (existsSync(path)) return path;
    await mkdir(this.#folder, { recursive: true });
    await writeSafetensorsFile(path, training ?? inputTensors(this.#small));
    return path;
  }
}

function parametersOf(weights: readonly TakenWeight[]): number {
  return weights.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}

function randomCheckpointOf(name: ModelName, small: boolean): RandomCheckpoint {
  const config = configJsonOf(name, small);
  switch (name) {
    case 'itm-vit-g':
      return { weights: expectedWeights(parseBlip2Config(config)), config, dtype: 'F16' };
    case 'opt-2.7b':
    case 'flan-t5-xl': {
      const reader = describeOnlyReader('language model');
      describeLanguageModel(reader, config);
      // The names of a language model alone, where the reader imagined one inside BLIP-2.
      const weights = reader.taken.map((weight) => ({ ...weight, name: weight.name.replace(/^language_model\./, '') }));
      return { weights, config, dtype: 'BF16', tokenizer: name === 'opt-2.7b' ? 'opt' : 't5' };
    }
    case 'stage-1':
    case 'tiny-stage-1': {
      const reader = describeOnlyReader('Q-Former');
      describeQFormer(reader, stageOneConfig(config));
      return { weights: reader.taken, config, dtype: 'F32' };
    }
    default: {
      const reader = describeOnlyReader('the second stage');
      describeQFormer(reader, qformerConfigFromJson(config));
      describeLanguageModel(reader, config['text_config']);
      return { weights: reader.taken, config, dtype: 'F32' };
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

/**
 * What is measured without training: images as normalised pixels, image features, and token ids between the special ones and the
 * ends of all three vocabularies.
 */
function inputTensors(small: boolean): NamedTensorData[] {
  const { vision_config: vision } = configJsonOf('itm-vit-g', small) as { readonly vision_config: Record<string, number> };
  const side = vision['image_size']!;
  const tokens = (side / vision['patch_size']!) ** 2 + 1;
  const random = seededRandom(2);
  const drawIds = (rows: number, length: number): Int32Array =>
    Int32Array.from({ length: rows * length }, () => 1000 + Math.floor(random() * 29_000));
  return [
    normals('images', [BATCH, side, side, 3], 11),
    normals('features', [BATCH, tokens, vision['hidden_size']!], 13),
    { name: 'matching_ids', shape: [1, MATCHING_TOKENS], values: drawIds(1, MATCHING_TOKENS) },
    { name: 'prompt_ids', shape: [1, PROMPT_TOKENS], values: drawIds(1, PROMPT_TOKENS) },
  ];
}

function normals(name: string, shape: readonly number[], offset: number): NamedTensorData {
  return { name, shape, values: randomNormals(sizeOf(shape), offset) };
}
