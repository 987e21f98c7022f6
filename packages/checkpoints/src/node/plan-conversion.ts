import { InputError, listSome, sizeOf, type Weight, type WeightDtype, type WeightSource } from '@blip2/core';
import type { ReadOptions } from '../bytes/byte-source.ts';
import { fileFilter } from '../hub/file-names.ts';
import { quote } from '../json/parse-json.ts';
import { blockSizeFor, matrixRole } from '../quantization/choose-matrices.ts';
import type { QuantizationError } from '../quantization/quantization-error.ts';
import { columnsKey, quantizedNames } from '../quantization/quantized-source.ts';
import { isFloatDtype } from '../safetensors/values.ts';
import { quantizedTensors, type MatrixPlan } from './quantized-tensors.ts';
import type { StoredTensor } from './write-weights.ts';

/** Number formats that weights can be converted to. */
export const CONVERSION_DTYPES = ['int8', 'int4', 'fp32', 'fp16', 'bf16'] as const;

export type ConversionDtype = (typeof CONVERSION_DTYPES)[number];

/** Bits of the codes, for the dtypes that quantise. */
export const CODE_BITS: Readonly<Partial<Record<ConversionDtype, 8 | 4>>> = { int8: 8, int4: 4 };

const FLOAT_DTYPES: Readonly<Partial<Record<ConversionDtype, WeightDtype>>> = { fp32: 'F32', fp16: 'F16', bf16: 'BF16' };

/** Blocks that are large enough for speed and small enough for the error (docs/design/quantization.md). */
export const DEFAULT_BLOCK_SIZE: Readonly<Record<8 | 4, number>> = { 8: 128, 4: 32 };

/** One quantised matrix, and what it lost. */
export interface QuantizedLayer {
  readonly name: string;
  /** `[rows, columns]` */
  readonly shape: readonly number[];
  readonly bits: 8 | 4;
  readonly blockSize: number;
  readonly error: QuantizationError;
}

/** What will be written. */
export interface ConversionPlan {
  readonly tensors: readonly StoredTensor[];
  /** For the `__metadata__` of each file. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Matrices of the model that stay in full precision. Empty where nothing is quantised. */
  readonly kept: readonly string[];
  readonly quantized: readonly string[];
  /** Filled as the tensors are written. */
  readonly layers: QuantizedLayer[];
}

export interface PlanOptions {
  readonly dtype: ConversionDtype | undefined;
  readonly blockSize: number | undefined;
  readonly keep: readonly string[];
  /** The head is the token table, which stays as it is. */
  readonly headIsTable: boolean;
}

/**
 * Decides for each weight how it is stored. Nothing is read.
 * @throws {InputError} when weights are quantised already and should be again, or a pattern of `keep` fits no matrix.
 */
export function planConversion(source: WeightSource, options: PlanOptions): ConversionPlan {
  const { dtype, keep } = options;
  const bits = dtype === undefined ? undefined : CODE_BITS[dtype];
  const weights = source.names.map((name) => source.get(name)!);
  if (bits !== undefined) assertNotQuantized(source.name, weights);
  const plan = {
    tensors: [] as StoredTensor[],
    metadata: { format: 'pt' } as Record<string, string>,
    layers: [] as QuantizedLayer[],
  };
  const [kept, quantized]: [string[], string[]] = [[], []];
  const isKept = keepFilter(keep, weights);
  for (const weight of weights) {
    const matrix = bits === undefined || isKept(weight.name) ? undefined : matrixPlan(weight, bits, options);
    if (matrix !== undefined) {
      quantized.push(weight.name);
      const { name, shape } = weight;
      plan.tensors.push(...quantizedTensors(weight, matrix, (error) => plan.layers.push({ name, shape, ...matrix, error })));
      noteColumns(plan.metadata, weight, matrix.blockSize);
    } else if (dtype === undefined && weight.quantized !== undefined) {
      plan.tensors.push(...copiedParts(weight));
      noteColumns(plan.metadata, weight, weight.quantized.blockSize);
    } else {
      if (bits !== undefined && weight.shape.length > 1) kept.push(weight.name);
      plan.tensors.push(floatTensor(weight, dtype === undefined ? undefined : FLOAT_DTYPES[dtype]));
    }
  }
  return { ...plan, kept, quantized };
}

function matrixPlan(
  { name, dtype, shape }: Weight,
  bits: 8 | 4,
  { blockSize, headIsTable }: PlanOptions,
): MatrixPlan | undefined {
  const role = isFloatDtype(dtype) && sizeOf(shape) > 0 ? matrixRole(name, shape) : 'other';
  if (role === 'other' || (role === 'head' && headIsTable)) return undefined;
  // Errors of the head go straight into the scores of the words, and it is 1 to 3 % of the model.
  const codeBits = role === 'head' ? 8 : bits;
  return { bits: codeBits, blockSize: blockSizeFor(shape[1]!, blockSize ?? DEFAULT_BLOCK_SIZE[codeBits]) };
}

function assertNotQuantized(name: string, weights: readonly Weight[]): void {
  const quantized = weights.filter((weight) => weight.quantized !== undefined);
  if (quantized.length === 0) return;
  throw new InputError(
    `convertCheckpoint: ${name} is quantised already (${quantized.length} matrices, such as ${quantized[0]!.name} with ` +
      `${quantized[0]!.quantized!.bits} bits), expected floats: quantising twice adds up the errors. Convert the original model.`,
  );
}

/** @throws {InputError} for a pattern that fits nothing, which is a slip of the pen. */
function keepFilter(patterns: readonly string[], weights: readonly Weight[]): (name: string) => boolean {
  const idle = patterns.filter((pattern) => !weights.some(({ name }) => fileFilter([pattern])(name)));
  if (idle.length === 0) return fileFilter(patterns);
  throw new InputError(
    `convertCheckpoint: no weight fits ${listSome(idle.map(quote))}, expected names of weights, with * for any characters. ` +
      `Take names such as ${quote(weights[0]?.name ?? 'lm_head.weight')}.`,
  );
}

function noteColumns(metadata: Record<string, string>, { name, shape }: Weight, blockSize: number): void {
  if (shape[1]! % blockSize !== 0) metadata[columnsKey(name)] = String(shape[1]);
}

/** A quantised matrix as it is, under the name it has now. */
function copiedParts({ name, quantized }: Weight): StoredTensor[] {
  const { bits, codes, scales } = quantized!;
  const names = quantizedNames(name, bits);
  return [
    { name: names.codes, dtype: 'U8', shape: codes.shape, alignment: 4, read: (options) => codes.read(options) },
    { name: names.scales, dtype: 'F32', shape: scales.shape, read: (options) => scales.read(options) },
  ];
}

function floatTensor(weight: Weight, dtype: WeightDtype | undefined): StoredTensor {
  const { name, shape } = weight;
  if (dtype === undefined || !isFloatDtype(weight.dtype)) {
    return { name, dtype: weight.dtype, shape, read: (options) => weight.read(options) };
  }
  return { name, dtype, shape, read: dtype === 'F16' ? readForFloat16(weight) : (options) => weight.read(options) };
}

/** Float16 ends at 65504; what is larger would silently become infinite. */
function readForFloat16(weight: Weight): StoredTensor['read'] {
  return async (options: ReadOptions) => {
    const values = await weight.read(options);
    const index = values.findIndex((value) => Math.abs(value) >= 65520 && Number.isFinite(value));
    if (index < 0) return values;
    throw new InputError(
      `convertCheckpoint: ${quote(weight.name)} has ${values[index]} at index ${index}, but fp16 ends at 65504. Take bf16, or fp32.`,
    );
  };
}
