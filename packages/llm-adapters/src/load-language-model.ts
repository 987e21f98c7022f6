import {
  CheckpointError,
  type Checkpoint,
  ConfigError,
  type Described,
  type EngineOptions,
  type PlacementOptions,
  readCheckpointJson,
  type RunOptions,
  type Tokenizer,
  type WeightReader,
} from '@blip2/core';
import { loadTokenizer } from '@blip2/tokenizers';
import { optConfigFromJson } from './opt-config.ts';
import type { OptParams } from './opt-decoder.ts';
import { createOpt, type OptLanguageModel } from './opt-model.ts';
import { describeOptParams } from './opt-weights.ts';
import { t5ConfigFromJson } from './t5-config.ts';
import type { T5Params } from './t5-decoder.ts';
import { createT5, type T5LanguageModel } from './t5-model.ts';
import { describeT5Params } from './t5-weights.ts';

/** Options of {@link loadLanguageModel}. */
export interface LoadLanguageModelOptions extends PlacementOptions, EngineOptions, RunOptions {
  /** Takes the place of the checkpoint's own. @default read from the checkpoint's tokenizer files */
  readonly tokenizer?: Tokenizer;
}

/**
 * Loads the language model of a checkpoint: of a BLIP-2 one, or a plain OPT or T5.
 *
 * Reads `config.json` and the tokenizer's files, then the weights that fit `options.budget`; with `options.engine` prepares it instead.
 *
 * @param checkpoint - As `@blip2/checkpoints` opens it; stays the caller's, and open as long as the model is used.
 * @returns the model, the caller's to dispose.
 * @throws {ConfigError} when the checkpoint has no language model, or one of another kind.
 * @throws {CheckpointError} when `config.json` or the tokenizer is missing or broken.
 * @throws {WeightsError} when the weights do not fit the configuration.
 *
 * @example
 * const model = await loadLanguageModel(await openCheckpointFolder('opt-125m'));
 */
export async function loadLanguageModel(
  checkpoint: Checkpoint,
  options: LoadLanguageModelOptions = {},
): Promise<OptLanguageModel | T5LanguageModel> {
  const json = await readCheckpointJson(checkpoint, 'config.json', options);
  const { config, imageTokenId } = languageConfigOf(json, checkpoint);
  const { budget, engine, abortSignal, onProgress } = options;
  const settings = { budget, engine, abortSignal, onProgress, imageTokenId };
  switch (fieldOf(config, 'model_type')) {
    case 'opt': {
      const optConfig = optConfigFromJson(config);
      return createOpt(checkpoint.weights, optConfig, options.tokenizer ?? (await loadTokenizer(checkpoint, options)), settings);
    }
    case 't5': {
      const t5Config = t5ConfigFromJson(config);
      return createT5(checkpoint.weights, t5Config, options.tokenizer ?? (await loadTokenizer(checkpoint, options)), settings);
    }
    default:
      throw unknownModelType(`loadLanguageModel: ${checkpoint.name}/config.json`, config);
  }
}

/**
 * Describes the parameters of a language model from its configuration, as a `describeOnlyReader` or a checkpoint's
 * reader finds them.
 *
 * @param json - A plain OPT or T5 configuration, or the `text_config` of a BLIP-2 one.
 * @throws {ConfigError} for another kind of model.
 *
 * @example
 * const reader = describeOnlyReader('language model');
 * countParameters(describeLanguageModel(reader, { model_type: 't5', d_model: 2048 }));
 */
export function describeLanguageModel(reader: WeightReader, json: unknown): Described<OptParams> | Described<T5Params> {
  switch (typeof json === 'object' && json !== null ? fieldOf(json, 'model_type') : undefined) {
    case 'opt':
      return describeOptParams(reader, optConfigFromJson(json));
    case 't5':
      return describeT5Params(reader, t5ConfigFromJson(json));
    default:
      throw unknownModelType('describeLanguageModel: the configuration', json);
  }
}

function unknownModelType(where: string, json: unknown): ConfigError {
  const found = typeof json === 'object' && json !== null ? fieldOf(json, 'model_type') : json;
  return new ConfigError(
    `${where} describes a language model of type ${JSON.stringify(found)}, expected "opt" or "t5". ` +
      `Use a checkpoint with one of these, or implement LanguageModel of @blip2/core for yours.`,
  );
}

/** The language model's part of a configuration, and the id of the image placeholder. */
function languageConfigOf(json: unknown, checkpoint: Checkpoint): { config: unknown; imageTokenId: number | undefined } {
  const path = `${checkpoint.name}/config.json`;
  if (typeof json !== 'object' || json === null) {
    throw new CheckpointError(`${path} holds ${JSON.stringify(json)}, expected an object. Download the file again.`, path);
  }
  if (fieldOf(json, 'model_type') !== 'blip-2') return { config: json, imageTokenId: undefined };
  if (!checkpoint.weights.names.some((name) => name.startsWith('language_model.'))) {
    throw new ConfigError(
      `loadLanguageModel: ${checkpoint.name} has no language model; its weights are for matching and search. ` +
        `Load a checkpoint that writes, such as Salesforce/blip2-opt-2.7b.`,
    );
  }
  const imageToken = fieldOf(json, 'image_token_index') ?? fieldOf(json, 'image_token_id');
  // A BLIP-2 configuration that names no text model means OPT with its default sizes.
  const config = { model_type: 'opt', ...(fieldOf(json, 'text_config') as object | undefined) };
  return { config, imageTokenId: typeof imageToken === 'number' ? imageToken : undefined };
}

function fieldOf(json: unknown, key: string): unknown {
  return (json as Record<string, unknown>)[key];
}
