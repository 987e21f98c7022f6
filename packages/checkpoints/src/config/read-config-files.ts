import { ConfigError, type Checkpoint } from '@blip2/core';
import type { $ZodType } from 'zod/v4/core';
import type { ReadOptions } from '../bytes/byte-source.ts';
import { decodeUtf8, parseJsonText } from '../json/parse-json.ts';
import { parseBlip2Config, parseModelConfig, type Blip2ConfigJson, type ModelConfigJson } from './blip2-config.ts';
import {
  parseGenerationConfig,
  parsePreprocessorConfig,
  parseProcessorConfig,
  type GenerationConfigJson,
  type PreprocessorConfigJson,
  type ProcessorConfigJson,
} from './processor-configs.ts';
import { fieldOf, validate, type ParseOptions } from './validate.ts';

/** How {@link readJsonFile} reads. */
export interface ReadJsonOptions<Value> extends ReadOptions {
  /** A schema of `zod` or `zod/mini` that checks and types the value. @default any JSON is taken */
  readonly schema?: $ZodType<Value>;
  /** A missing file gives `undefined`. @default false, which makes it an error */
  readonly optional?: boolean;
}

/**
 * Reads a JSON file of a checkpoint.
 *
 * @param fileName - `config.json`, `tokenizer.json`, …
 * @returns the value; `undefined` only for a missing file that is `optional`.
 * @throws {ConfigError} when the file is missing, is not JSON (saying where it breaks), or does not fit the schema
 *   (saying which field).
 *
 * @example
 * const { num_query_tokens } = await readJsonFile(checkpoint, 'config.json', { schema: z.object({ num_query_tokens: z.int() }) });
 */
export async function readJsonFile<Value = unknown>(
  checkpoint: Checkpoint,
  fileName: string,
  options?: ReadJsonOptions<Value> & { readonly optional?: false },
): Promise<Value>;
export async function readJsonFile<Value = unknown>(
  checkpoint: Checkpoint,
  fileName: string,
  options: ReadJsonOptions<Value>,
): Promise<Value | undefined>;
export async function readJsonFile<Value>(
  checkpoint: Checkpoint,
  fileName: string,
  options: ReadJsonOptions<Value> = {},
): Promise<Value | undefined> {
  const bytes = await checkpoint.readFile(fileName, { abortSignal: options.abortSignal });
  const path = `${checkpoint.name}/${fileName}`;
  if (bytes === undefined) {
    if (options.optional === true) return undefined;
    throw new ConfigError(`${path}: missing, expected a JSON file. Fetch it from where the model was published.`);
  }
  const text = decodeUtf8(bytes);
  if (text === undefined) throw new ConfigError(`${path}: is not UTF-8 text, expected a JSON file. Fetch it again.`);
  const parsed = parseJsonText(text);
  if ('problem' in parsed) throw new ConfigError(`${path}: ${parsed.problem}. Correct the file, or fetch it again.`);
  return options.schema === undefined ? (parsed.value as Value) : validate(options.schema, parsed.value, path);
}

/** Options of the readers below. */
export interface ReadConfigOptions extends ReadOptions, ParseOptions {}

/**
 * Reads and completes the `config.json` of a BLIP-2 checkpoint.
 * @throws {ConfigError} when it is missing, broken, or belongs to another model.
 */
export async function readBlip2Config(checkpoint: Checkpoint, options: ReadConfigOptions = {}): Promise<Blip2ConfigJson> {
  const json = await readJsonFile(checkpoint, 'config.json', { abortSignal: options.abortSignal });
  return parseBlip2Config(json, `${checkpoint.name}/config.json`, options);
}

/**
 * Reads and completes the `config.json` of any model that blip2.js loads.
 * @throws {ConfigError} when it is missing, broken, or belongs to another model.
 */
export async function readModelConfig(checkpoint: Checkpoint, options: ReadConfigOptions = {}): Promise<ModelConfigJson> {
  const json = await readJsonFile(checkpoint, 'config.json', { abortSignal: options.abortSignal });
  return parseModelConfig(json, `${checkpoint.name}/config.json`, options);
}

/**
 * Reads `generation_config.json`.
 * @returns `undefined` when there is none.
 * @throws {ConfigError} when it is broken.
 */
export async function readGenerationConfig(
  checkpoint: Checkpoint,
  options: ReadOptions = {},
): Promise<GenerationConfigJson | undefined> {
  return readOptional(checkpoint, 'generation_config.json', parseGenerationConfig, options);
}

/**
 * Reads and completes `preprocessor_config.json`, or the `image_processor` that newer libraries put into
 * `processor_config.json`.
 * @returns `undefined` when there is neither.
 * @throws {ConfigError} when it is broken.
 */
export async function readPreprocessorConfig(
  checkpoint: Checkpoint,
  options: ReadOptions = {},
): Promise<PreprocessorConfigJson | undefined> {
  const own = await readOptional(checkpoint, 'preprocessor_config.json', parsePreprocessorConfig, options);
  if (own !== undefined) return own;
  const fileName = 'processor_config.json';
  const joint = fieldOf(await readJsonFile(checkpoint, fileName, { ...options, optional: true }), 'image_processor');
  return joint === undefined ? undefined : parsePreprocessorConfig(joint, `${checkpoint.name}/${fileName}, image_processor`);
}

/**
 * Reads `processor_config.json`.
 * @returns `undefined` when there is none.
 * @throws {ConfigError} when it is broken.
 */
export async function readProcessorConfig(
  checkpoint: Checkpoint,
  options: ReadOptions = {},
): Promise<ProcessorConfigJson | undefined> {
  return readOptional(checkpoint, 'processor_config.json', parseProcessorConfig, options);
}

async function readOptional<Value>(
  checkpoint: Checkpoint,
  fileName: string,
  parse: (json: unknown, path: string) => Value,
  options: ReadOptions,
): Promise<Value | undefined> {
  const json = await readJsonFile(checkpoint, fileName, { abortSignal: options.abortSignal, optional: true });
  return json === undefined ? undefined : parse(json, `${checkpoint.name}/${fileName}`);
}
