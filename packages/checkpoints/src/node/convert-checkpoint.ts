import { writeFile, statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { InputError, ResourceError, sizeOf, type Checkpoint, type RunOptions, type Weight, type WeightSource } from '@blip2/core';
import { configText } from '../json/config-text.ts';
import { readJsonFile, readModelConfig } from '../config/read-config-files.ts';
import type { ModelConfigJson } from '../config/blip2-config.ts';
import { withLavisNames } from '../names/hub-names.ts';
import { patternsOf } from '../quantization/choose-matrices.ts';
import { assertBlockSize } from '../quantization/quantize-blocks.ts';
import { joinErrors } from '../quantization/quantization-error.ts';
import { storedBytes } from '../safetensors/encode-safetensors.ts';
import { fileProblem } from './file-problem.ts';
import { writeNewFolder } from './new-folder.ts';
import {
  CODE_BITS,
  CONVERSION_DTYPES,
  DEFAULT_BLOCK_SIZE,
  planConversion,
  type ConversionDtype,
  type ConversionPlan,
} from './plan-conversion.ts';
import { writeStoredTensors } from './write-weights.ts';

/** What {@link convertCheckpoint} changes. Without any, the model is copied in the Hub's layout. */
export interface ConvertOptions extends RunOptions {
  /** Format of the weights: `int8` and `int4` quantise the linear layers of frozen blocks and leave the rest as it is. @default each weight's own */
  readonly dtype?: ConversionDtype;
  /** Columns that share a scale, for `int8` and `int4`. @default 128 and 32 */
  readonly blockSize?: number;
  /** Names of more weights that stay in full precision, with `*` for any characters. @default none */
  readonly keep?: readonly string[];
  /** @default 5 GB, as `save_pretrained` of transformers */
  readonly maxShardBytes?: number;
  /** Names of the weights: of the Hub's files, or of the original (LAVIS) ones. @default 'hub' */
  readonly names?: 'hub' | 'lavis';
}

/** What was written, in numbers. */
export interface ConversionSummary {
  readonly dtype: ConversionDtype | 'unchanged';
  readonly parameters: number;
  /** Those that became codes. */
  readonly quantizedParameters: number;
  readonly quantizedMatrices: number;
  /** Bytes of the weights before and after. */
  readonly sourceBytes: number;
  readonly storedBytes: number;
  /** ‖quantised − original‖ / ‖original‖ over all quantised matrices. */
  readonly relativeError?: number;
  /** The matrix with the largest. */
  readonly worst?: { readonly name: string; readonly relativeError: number };
}

/** What {@link convertCheckpoint} gives. */
export interface Conversion {
  /** Names of the files in the folder. */
  readonly files: readonly string[];
  readonly summary: ConversionSummary;
}

/** Where the error of each quantised matrix is written. */
export const REPORT_FILE = 'quantization-report.json';

/** Files that belong to a model beside its weights and configuration. */
const COPIED_FILES: readonly string[] = [
  // how texts are written and images prepared
  'generation_config.json',
  'preprocessor_config.json',
  'processor_config.json',
  // tokenizers
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'vocab.txt',
  'merges.txt',
  'spiece.model',
  'tokenizer.model',
  // whose it is
  'README.md',
  'LICENSE',
  'LICENSE.txt',
  'LICENSE.md',
];

/**
 * Writes a model in another format: quantised, in another float format, in shards of another size, under other names. Weights are read, converted and written
 * one after the other; the largest costs its float32 size in memory. Tokenizer and processor files are copied, `config.json` is kept and says how the model is
 * quantised, `quantization-report.json` has the error of each matrix.
 *
 * @param checkpoint - Of any origin; it stays open.
 * @param folder - To be made: nothing, or an empty folder. It appears when it is complete; after an error or an abort there is nothing.
 * @throws {InputError} for options that do not fit the model, such as quantising it twice; weights that are not finite.
 * @throws {CheckpointError} when the folder exists, or a weight cannot be read. @throws {ResourceError} when the disk is full.
 *
 * @example
 * const checkpoint = await openCheckpoint('Salesforce/blip2-opt-2.7b');
 * const { summary } = await convertCheckpoint(checkpoint, 'blip2-opt-2.7b-int8', { dtype: 'int8' });
 */
export async function convertCheckpoint(
  checkpoint: Checkpoint,
  folder: string,
  options: ConvertOptions = {},
): Promise<Conversion> {
  const { dtype, blockSize, keep = [], abortSignal, maxShardBytes, onProgress } = options;
  assertOptions(options);
  const config = await readModelConfig(checkpoint, { abortSignal });
  const headIsTable = ('text_config' in config ? config.text_config : config).model_type === 'opt';
  const plan = planConversion(namedAs(checkpoint.weights, config, options), { dtype, blockSize, keep, headIsTable });
  return writeNewFolder(folder, async (temporary) => {
    await assertRoom(folder, plan);
    const files = await writeStoredTensors(temporary, plan.tensors, {
      maxShardBytes,
      metadata: plan.metadata,
      abortSignal,
      // The folder's temporary name means nothing to a person.
      onProgress: onProgress && ((progress) => onProgress({ ...progress, part: basename(progress.part) })),
    });
    const put = async (name: string, content: string | Uint8Array): Promise<void> => {
      await writeFile(join(temporary, name), content, { flush: true }).catch((cause: unknown) => {
        throw fileProblem('write', join(folder, name), cause);
      });
      files.push(name);
    };
    const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;
    await put(
      'config.json',
      configText(convertedConfig(await readJsonFile(checkpoint, 'config.json', { abortSignal }), plan, options)),
    );
    for (const name of COPIED_FILES) {
      const content = await checkpoint.readFile(name, { abortSignal });
      if (content !== undefined) await put(name, content);
    }
    const summary = summarize(checkpoint.weights, plan, dtype);
    if (plan.layers.length > 0) await put(REPORT_FILE, json(report(summary, plan)));
    abortSignal?.throwIfAborted();
    return { files, summary };
  });
}

function assertOptions({ dtype, blockSize, keep = [], names }: ConvertOptions): void {
  if (dtype !== undefined && !CONVERSION_DTYPES.includes(dtype)) {
    throw new InputError(`convertCheckpoint: dtype is '${String(dtype)}', expected one of ${CONVERSION_DTYPES.join(', ')}.`);
  }
  if (names !== undefined && names !== 'hub' && names !== 'lavis') {
    throw new InputError(`convertCheckpoint: names is '${String(names)}', expected 'hub' or 'lavis'.`);
  }
  if (blockSize !== undefined) assertBlockSize(blockSize);
  if ((dtype === undefined || CODE_BITS[dtype] === undefined) && (blockSize !== undefined || keep.length > 0)) {
    throw new InputError(
      `convertCheckpoint: ${blockSize === undefined ? 'keep' : 'blockSize'} is for int8 and int4, but dtype is '${dtype ?? 'not given'}'. Leave it out, or quantise.`,
    );
  }
}

function namedAs(source: WeightSource, config: ModelConfigJson, { names }: ConvertOptions): WeightSource {
  if (names !== 'lavis') return source;
  return withLavisNames(source, 'text_config' in config ? { languageModel: config.text_config.model_type } : {});
}

/** Refuses before hours of work what would end with a full disk. */
async function assertRoom(folder: string, { tensors }: ConversionPlan): Promise<void> {
  const needed = tensors.reduce((sum, tensor) => sum + storedBytes(tensor), 0);
  const disk = await statfs(dirname(resolve(folder))).catch(() => undefined); // not on every system
  const free = disk === undefined ? Number.POSITIVE_INFINITY : disk.bavail * disk.bsize;
  if (needed <= free) return;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(bytes < 1e9 ? 3 : 1)} GB`;
  throw new ResourceError(
    `${folder}: the weights would take ${gigabytes(needed)}, but ${gigabytes(free)} are free there. Free some space, or choose another folder.`,
  );
}

/** Names of number formats in `config.json`. */
const TORCH_DTYPES: Readonly<Partial<Record<ConversionDtype, string>>> = { fp32: 'float32', fp16: 'float16', bf16: 'bfloat16' };

/** `config.json` as it was, with what the conversion changes. */
function convertedConfig(json: unknown, plan: ConversionPlan, { dtype, blockSize }: ConvertOptions): unknown {
  const config = json as Record<string, unknown>; // checked by `readModelConfig`
  const bits = dtype === undefined ? undefined : CODE_BITS[dtype];
  if (bits !== undefined) {
    const kept = patternsOf(plan.kept, plan.quantized);
    const quantization = { quant_method: 'blip2js', bits, block_size: blockSize ?? DEFAULT_BLOCK_SIZE[bits], kept };
    return { ...config, quantization_config: quantization };
  }
  const torchDtype = dtype === undefined ? undefined : TORCH_DTYPES[dtype];
  if (torchDtype === undefined) return config;
  const { quantization_config: _, ...rest } = withTorchDtype(config, torchDtype);
  return rest;
}

/** Where the file names the format of its weights, it names the new one. */
function withTorchDtype(config: Record<string, unknown>, dtype: string): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => {
      if ((key === 'torch_dtype' || key === 'dtype') && typeof value === 'string') return [key, dtype];
      const isConfig = key.endsWith('_config') && typeof value === 'object' && value !== null && !Array.isArray(value);
      return [key, isConfig ? withTorchDtype(value as Record<string, unknown>, dtype) : value];
    }),
  );
}

function summarize(source: WeightSource, plan: ConversionPlan, dtype: ConversionDtype | undefined): ConversionSummary {
  const weights = source.names.map((name) => source.get(name)!);
  const worst = plan.layers.toSorted((a, b) => b.error.relative - a.error.relative)[0];
  return {
    dtype: dtype ?? 'unchanged',
    parameters: weights.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    quantizedParameters: plan.layers.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    quantizedMatrices: plan.layers.length,
    sourceBytes: weights.reduce((sum, weight) => sum + bytesOf(weight), 0),
    storedBytes: plan.tensors.reduce((sum, tensor) => sum + storedBytes(tensor), 0),
    relativeError: worst && joinErrors(plan.layers.map(({ error }) => error)).relative,
    worst: worst && { name: worst.name, relativeError: worst.error.relative },
  };
}

function bytesOf({ quantized, location }: Weight): number {
  return quantized === undefined ? (location?.byteLength ?? 0) : bytesOf(quantized.codes) + bytesOf(quantized.scales);
}

/** The content of {@link REPORT_FILE}. */
function report(summary: ConversionSummary, { layers }: ConversionPlan): unknown {
  return {
    summary,
    layers: layers.map(({ name, shape, bits, blockSize, error: { relative, maxAbs } }) => {
      return { name, shape, bits, blockSize, relativeError: relative, maxAbsError: maxAbs };
    }),
  };
}
