import { InputError } from '@blip2/core';
import { quote } from '../json/parse-json.ts';

/** Shape, format and name of a matrix to quantise. */
export interface QuantizeBlocksOptions {
  readonly rows: number;
  readonly columns: number;
  readonly bits: 8 | 4;
  /** Columns that share a scale: a power of two from 16 on. */
  readonly blockSize: number;
  /** For messages. @default 'weight' */
  readonly name?: string;
  /** For messages: where these rows begin in the matrix. @default 0 */
  readonly firstRow?: number;
}

/** A matrix in blocks of whole numbers, as {@link @blip2/core!QuantizedParts} describes it, in memory. */
export interface QuantizedBlocks {
  readonly rows: number;
  readonly columns: number;
  readonly bits: 8 | 4;
  readonly blockSize: number;
  /** `[rows, ceil(columns / blockSize), blockSize · bits / 8]` */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** `[rows, ceil(columns / blockSize)]` */
  readonly scales: Float32Array<ArrayBuffer>;
}

/** The code that stands for zero, by bits: what `MatMulNBits` takes where it is given no zero points. */
export const ZERO_POINT: Readonly<Record<8 | 4, number>> = { 8: 128, 4: 8 };

/** A scale below float32's normal numbers has lost digits; a block that small becomes zeros. */
const LEAST_SCALE = 2 ** -126;

/** No weight of a model is as large; up to here nothing overflows. */
const LARGEST_WEIGHT = 2 ** 120;

/**
 * Scales that are tried for a block of 4-bit codes, as shares of the one that puts the largest weight on the code −8. Beyond 1 lies 8/7, which
 * puts it on −7 as plain symmetric rounding does, so the result is never worse than that. For the others larger weights are clipped, which pays where most
 * of a block is small. Seven shares come within 1 % of the error that 300 give (docs/design/quantization.md).
 */
const SCALE_SHARES: readonly number[] = [0.76, 0.82, 0.89, 0.95, 1.02, 1.08, 8 / 7];

/**
 * Quantises a matrix to 8 or 4 bits, each block of a row with a scale of its own.
 *
 * With 8 bits the scale is the block's largest magnitude over 127 and every weight is within half a scale. With 4 bits the scale is searched for the
 * least squared error of the block: large weights may be clipped, and the scale may be negative.
 *
 * @param values - `[rows, columns]`, row-major; not changed.
 * @returns codes and scales, the caller's.
 * @throws {InputError} for a value that is NaN, infinite or beyond 2^120, naming weight and place, and for a block size that cannot be.
 *
 * @example
 * const { codes, scales } = quantizeBlocks(values, { rows: 2560, columns: 2560, bits: 4, blockSize: 32 });
 *
 * Source of the layout: ONNX Runtime, docs/ContribOperators.md, `com.microsoft.MatMulNBits`.
 */
export function quantizeBlocks(values: Float32Array, options: QuantizeBlocksOptions): QuantizedBlocks {
  const { rows, columns, bits, blockSize, name = 'weight', firstRow = 0 } = options;
  assertBlockSize(blockSize);
  if (values.length !== rows * columns) {
    throw new InputError(
      `quantizeBlocks: ${quote(name)} has ${values.length} values, but [${rows}, ${columns}] needs ${rows * columns}. Pass the whole matrix, row-major.`,
    );
  }
  const blocks = Math.ceil(columns / blockSize);
  const blockBytes = (blockSize * bits) / 8;
  const codes = new Uint8Array(rows * blocks * blockBytes);
  const scales = new Float32Array(rows * blocks);
  const quantizeBlock = bits === 8 ? quantizeBlock8 : quantizeBlock4;
  // Only a row's last block can be shorter; its rest keeps the code for zero.
  if (columns % blockSize !== 0) codes.fill(bits === 8 ? ZERO_POINT[8] : ZERO_POINT[4] * 0x11);
  for (let row = 0; row < rows; row++) {
    const end = (row + 1) * columns;
    for (let block = 0; block < blocks; block++) {
      const begin = row * columns + block * blockSize;
      const index = row * blocks + block;
      const scale = quantizeBlock(values, begin, Math.min(begin + blockSize, end), codes, index * blockBytes);
      if (Number.isNaN(scale)) throw unusableValue(values, columns, name, firstRow);
      scales[index] = scale;
    }
  }
  return { rows, columns, bits, blockSize, codes, scales };
}

/** @throws {InputError} unless it is a power of two from 16 on. */
export function assertBlockSize(blockSize: number): void {
  if (isBlockSize(blockSize)) return;
  throw new InputError(
    `Quantising: the block size is ${blockSize}, expected a power of two from 16 to 1024. Take 128, or 32 for 4 bits.`,
  );
}

/** What ONNX Runtime's `MatMulNBits` takes, up to a size beyond which blocks have no use. */
export function isBlockSize(blockSize: number): boolean {
  return blockSize >= 16 && blockSize <= 1024 && Number.isInteger(Math.log2(blockSize));
}

/** Writes one block's codes. @returns its scale, or NaN when a value cannot be a weight. */
type BlockQuantizer = (values: Float32Array, begin: number, end: number, codes: Uint8Array, offset: number) => number;

const quantizeBlock8: BlockQuantizer = (values, begin, end, codes, offset) => {
  const scale = scaleFor(largestMagnitude(values, begin, end), 127);
  if (Number.isNaN(scale)) return scale;
  const inverse = scale === 0 ? 0 : 1 / scale;
  // Cutting off the fraction of a positive number and a half rounds it.
  for (let index = begin; index < end; index++) codes[offset++] = (values[index]! * inverse + 128.5) | 0;
  return scale;
};

const quantizeBlock4: BlockQuantizer = (values, begin, end, codes, offset) => {
  const largest = largestMagnitude(values, begin, end);
  if (!(largest <= LARGEST_WEIGHT)) return Number.NaN;
  let extreme = begin;
  while (extreme < end - 1 && Math.abs(values[extreme]!) < largest) extreme++;
  const scale = usableScale(bestScale4(values, begin, end, values[extreme]!));
  const inverse = scale === 0 ? 0 : 1 / scale;
  for (let index = begin; index < end; index += 2) {
    const low = code4(values[index]! * inverse);
    const high = index + 1 < end ? code4(values[index + 1]! * inverse) : ZERO_POINT[4];
    codes[offset++] = low | (high << 4);
  }
  return scale;
};

/**
 * The best of the scales in {@link SCALE_SHARES}, each improved: for given codes c the scale of least squared error is Σwc / Σc², and it lowers the error by
 * (Σwc)² / Σc² from Σw², so one pass gives both.
 */
function bestScale4(values: Float32Array, begin: number, end: number, extreme: number): number {
  if (Math.abs(extreme) < LEAST_SCALE) return 0; // its inverse could be infinite
  let best = 0;
  let greatestGain = -1;
  for (const share of SCALE_SHARES) {
    const inverse = -8 / (extreme * share);
    let products = 0;
    let squares = 0;
    for (let index = begin; index < end; index++) {
      const value = values[index]!;
      const code = code4(value * inverse) - 8;
      products += value * code;
      squares += code * code;
    }
    const gain = (products * products) / squares;
    if (gain > greatestGain) {
      greatestGain = gain;
      best = products / squares;
    }
  }
  return best;
}

/** A weight over its scale as a code: rounded, and clipped to 0…15. */
function code4(steps: number): number {
  const code = ((steps + 128.5) | 0) - 120; // positive before the fraction is cut off
  return code > 15 ? 15 : code < 0 ? 0 : code;
}

function usableScale(scale: number): number {
  return Math.abs(scale) < LEAST_SCALE ? 0 : Math.fround(scale);
}

/** The largest magnitude in a range of values; NaN when there is one among them. */
export function largestMagnitude(values: Float32Array, begin: number, end: number): number {
  let largest = 0;
  for (let index = begin; index < end; index++) largest = Math.max(largest, Math.abs(values[index]!)); // keeps NaN
  return largest;
}

/** The error for the first value that is no weight. */
export function unusableValue(values: Float32Array, columns: number, name: string, firstRow = 0): InputError {
  const index = values.findIndex((value) => !(Math.abs(value) <= LARGEST_WEIGHT));
  const place = `row ${firstRow + Math.floor(index / columns)}, column ${index % columns}`;
  return new InputError(
    `Quantising: ${quote(name)} has ${values[index]} at ${place}, expected finite numbers up to 2^120. ` +
      `Check the checkpoint, or keep this weight in full precision.`,
  );
}

/** The scale for a largest magnitude and its greatest code; NaN when it is no weight's. */
export function scaleFor(largest: number, code: number): number {
  return largest <= LARGEST_WEIGHT ? usableScale(largest / code) : Number.NaN;
}

/**
 * The float values of a quantised matrix, or of some of its rows.
 *
 * @param quantized - Codes and scales; the number of rows follows from the target.
 * @param target - `[rows, columns]`; filled and returned.
 */
export function dequantizeBlocks(
  quantized: Pick<QuantizedBlocks, 'columns' | 'bits' | 'blockSize'> & {
    readonly codes: Uint8Array | Int32Array;
    readonly scales: Float32Array;
  },
  target: Float32Array<ArrayBuffer>,
): Float32Array<ArrayBuffer> {
  const { columns, bits, blockSize, codes, scales } = quantized;
  const blocks = Math.ceil(columns / blockSize);
  const blockBytes = (blockSize * bits) / 8;
  for (let begin = 0, block = 0; begin < target.length; block++) {
    const columnsLeft = columns - (block % blocks) * blockSize;
    const end = begin + Math.min(blockSize, columnsLeft);
    const scale = scales[block]!;
    let offset = block * blockBytes;
    if (bits === 8) {
      for (let index = begin; index < end; index++) target[index] = (codes[offset++]! - 128) * scale;
    } else {
      for (let index = begin; index < end; index += 2) {
        const pair = codes[offset++]!;
        target[index] = ((pair & 15) - 8) * scale;
        if (index + 1 < end) target[index + 1] = ((pair >> 4) - 8) * scale;
      }
    }
    begin = end;
  }
  return target;
}
