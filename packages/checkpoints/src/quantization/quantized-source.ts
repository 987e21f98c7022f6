import { CheckpointError, type QuantizedParts, type Weight, type WeightSource } from '@blip2/core';
import { quote } from '../json/parse-json.ts';
import { isBlockSize } from './quantize-blocks.ts';
import { quantizedWeight } from './quantized-weight.ts';

/** Names of codes: `X.weight.int8`, and what a number that is not known would look like. */
const CODES = /^(.*weight)\.int(\d+)$/;

/** Names of scales whose codes may be missing. */
const SCALES = /^(.*weight)\.scale$/;

/** The names under which a quantised matrix is stored. */
export function quantizedNames(name: string, bits: 8 | 4): { readonly codes: string; readonly scales: string } {
  return { codes: `${name}.int${bits}`, scales: `${name}.scale` };
}

/** The key of a file's `__metadata__` that holds a matrix's columns where its last block is not full. */
export function columnsKey(name: string): string {
  return `${name}.columns`;
}

/**
 * A source whose quantised matrices are single weights: `X.weight.int8` (or `.int4`) and `X.weight.scale` become `X.weight`, which has
 * {@link Weight.quantized}. A source without any is returned as it is. Nothing is read.
 *
 * @param metadata - The `__metadata__` of the files together.
 * @throws {CheckpointError} when codes and scales do not belong together or cannot be what they say.
 *
 * The format: docs/design/quantization.md.
 */
export function joinQuantized(source: WeightSource, metadata: ReadonlyMap<string, string>): WeightSource {
  const isPart = (name: string): boolean => CODES.test(name) || SCALES.test(name);
  if (!source.names.some(isPart)) return source;
  const withCodes = new Set(source.names.map((name) => CODES.exec(name)?.[1]));
  const joined = new Map<string, Weight>();
  for (const name of source.names) {
    const [, base, bits] = CODES.exec(name) ?? [];
    if (base !== undefined) {
      if (joined.has(base)) throw failure(source.get(name)!, `${quote(base)} is in the checkpoint twice, expected it once`);
      joined.set(base, joinPair(source, base, name, Number(bits), metadata));
    } else if (SCALES.test(name)) {
      if (!withCodes.has(SCALES.exec(name)![1])) throw withoutCodes(source.get(name)!);
    } else if (!joined.has(name)) {
      joined.set(name, source.get(name)!);
    } else {
      throw failure(source.get(name)!, `${quote(name)} is in the checkpoint twice, quantised and not, expected it once`);
    }
  }
  return { name: source.name, names: [...joined.keys()], get: (name) => joined.get(name) };
}

function joinPair(
  source: WeightSource,
  name: string,
  codesName: string,
  bits: number,
  metadata: ReadonlyMap<string, string>,
): Weight {
  const codes = source.get(codesName)!;
  if (bits !== 8 && bits !== 4) throw failure(codes, `${quote(codesName)} would have codes of ${bits} bits, expected 8 or 4`);
  const { scales: scalesName } = quantizedNames(name, bits);
  const scales = source.get(scalesName);
  if (scales === undefined)
    throw failure(codes, `${quote(codesName)} is without its scales, expected ${quote(scalesName)} beside it`);
  const [rows, blocks, blockBytes] = codes.shape;
  const blockSize = ((blockBytes ?? 0) * 8) / bits;
  if (codes.dtype !== 'U8' || codes.shape.length !== 3 || !((rows ?? 0) * (blocks ?? 0) > 0) || !isBlockSize(blockSize)) {
    throw failure(
      codes,
      `${quote(codesName)} is ${described(codes)}, expected U8 [rows, blocks, bytes] with blocks of 16, 32, 64 … 1024 codes of ${bits} bits`,
    );
  }
  if (scales.dtype !== 'F32' || scales.shape.join() !== `${rows},${blocks}`) {
    throw failure(
      scales,
      `${quote(scalesName)} is ${described(scales)}, expected F32 [${rows}, ${blocks}], one for each block of codes`,
    );
  }
  const parts: QuantizedParts = { bits, blockSize, codes, scales };
  return quantizedWeight(name, columnsOf(name, parts, metadata), parts);
}

/** All columns of the blocks, or what the file says where the last block is not full. */
function columnsOf(name: string, { codes, blockSize }: QuantizedParts, metadata: ReadonlyMap<string, string>): number {
  const full = codes.shape[1]! * blockSize;
  const text = metadata.get(columnsKey(name));
  if (text === undefined) return full;
  const columns = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (columns > full - blockSize && columns <= full) return columns;
  throw failure(
    codes,
    `__metadata__ gives ${quote(name)} ${quote(text)} columns, expected ${full - blockSize + 1} to ${full}, as it has ${codes.shape[1]} blocks of ${blockSize}`,
  );
}

function withoutCodes(scales: Weight): CheckpointError {
  const names = ([8, 4] as const).map((bits) => quote(quantizedNames(SCALES.exec(scales.name)![1]!, bits).codes));
  return failure(scales, `${quote(scales.name)} is without its codes, expected ${names.join(' or ')} beside it`);
}

function described({ dtype, shape }: Weight): string {
  return `${dtype} [${shape.join(', ')}]`;
}

function failure(weight: Weight, problem: string): CheckpointError {
  const file = weight.location?.file ?? weight.name;
  return new CheckpointError(
    `${file}: ${problem}. The file was not written by blip2.js or is damaged; convert the model again with blip2 convert.`,
    file,
  );
}
