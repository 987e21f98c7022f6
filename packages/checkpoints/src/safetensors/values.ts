import { CheckpointError, DTYPE_BYTES, InputError, type WeightDtype } from '@blip2/core';
import { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16 } from './half-precision.ts';

/** Numbers as weights hold them in memory. */
export type Values = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/** True for dtypes whose values are floats; the others are read as `Int32Array`. */
export function isFloatDtype(dtype: WeightDtype): boolean {
  return dtype === 'F64' || dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';
}

/** A zeroed array that holds `length` values of a dtype. */
export function makeValues(dtype: WeightDtype, length: number): Values {
  return isFloatDtype(dtype) ? new Float32Array(length) : new Int32Array(length);
}

/** What is being decoded, for messages. */
export interface DecodeContext {
  readonly file: string;
  readonly name: string;
}

/**
 * The values of a range of a file.
 *
 * @param bytes - Little-endian, at any alignment. For F32 and I32 the result may share their memory.
 * @throws {CheckpointError} for an I64 value outside the int32 range.
 */
export function decodeValues(bytes: Uint8Array, dtype: WeightDtype, context: DecodeContext): Values {
  const length = bytes.length / DTYPE_BYTES[dtype];
  if (dtype !== 'F32' && dtype !== 'I32') {
    const values = makeValues(dtype, length);
    decodeValuesInto(bytes, dtype, values, context);
    return values;
  }
  const { buffer, byteOffset } = alignedBytes(bytes, dtype);
  return dtype === 'F32' ? new Float32Array(buffer, byteOffset, length) : new Int32Array(buffer, byteOffset, length);
}

/** Like {@link decodeValues}, into existing memory, which has as many elements as the bytes have. */
export function decodeValuesInto(bytes: Uint8Array, dtype: WeightDtype, values: Values, context: DecodeContext): void {
  const { buffer, byteOffset } = alignedBytes(bytes, dtype);
  const length = values.length;
  if (dtype === 'F16') decodeFloat16(new Uint16Array(buffer, byteOffset, length), values as Float32Array);
  else if (dtype === 'BF16') decodeBfloat16(new Uint16Array(buffer, byteOffset, length), values as Float32Array);
  else if (dtype === 'I64') decodeInt64(new Int32Array(buffer, byteOffset, 2 * length), values as Int32Array, context);
  else if (dtype === 'F64') values.set(new Float64Array(buffer, byteOffset, length));
  else if (dtype === 'F32') values.set(new Float32Array(buffer, byteOffset, length));
  else if (dtype === 'I32') values.set(new Int32Array(buffer, byteOffset, length));
  else if (dtype === 'I16') values.set(new Int16Array(buffer, byteOffset, length));
  else if (dtype === 'I8') values.set(new Int8Array(buffer, byteOffset, length));
  else if (dtype === 'U8') values.set(bytes);
  else values.set(bytes.map((byte) => (byte === 0 ? 0 : 1))); // BOOL
}

/** The same bytes where a typed array of the dtype may begin: at a multiple of its element size. */
function alignedBytes(bytes: Uint8Array, dtype: WeightDtype): Uint8Array<ArrayBuffer> {
  const isAligned = bytes.byteOffset % DTYPE_BYTES[dtype] === 0 && bytes.buffer instanceof ArrayBuffer;
  return (isAligned ? bytes : new Uint8Array(bytes)) as Uint8Array<ArrayBuffer>;
}

/** @param words - Low and high halves, in turns. */
function decodeInt64(words: Int32Array, values: Int32Array, context: DecodeContext): void {
  for (let index = 0; index < values.length; index++) {
    const low = words[2 * index]!;
    const high = words[2 * index + 1]!;
    if (high !== low >> 31) {
      const value = (BigInt(high) << 32n) | BigInt(low >>> 0);
      throw new CheckpointError(
        `${context.file}: '${context.name}' has the I64 value ${value} at index ${index}, but blip2.js reads integers as int32 ` +
          `(−2147483648 to 2147483647). Store the tensor as F32, or leave it out of the checkpoint.`,
        context.file,
      );
    }
    values[index] = low;
  }
}

/** The least and the greatest value that an integer dtype of a file holds; I64 is limited by `Int32Array`. */
const INTEGER_RANGE: Readonly<Partial<Record<WeightDtype, readonly [number, number]>>> = {
  I64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  I32: [-(2 ** 31), 2 ** 31 - 1],
  I16: [-(2 ** 15), 2 ** 15 - 1],
  I8: [-128, 127],
  U8: [0, 255],
  BOOL: [0, 1],
};

/**
 * Values as the bytes of a file. Floats are rounded to nearest, ties to even; F16 and BF16 from float32.
 *
 * @param name - The tensor, for messages.
 * @throws {InputError} for a value that an integer dtype cannot hold.
 */
export function encodeValues(values: ArrayLike<number>, dtype: WeightDtype, name: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(values.length * DTYPE_BYTES[dtype]);
  const { buffer } = bytes;
  const range = INTEGER_RANGE[dtype];
  const fitsAsItIs = dtype === 'U8' && values instanceof Uint8Array;
  if (range !== undefined && !fitsAsItIs) assertIntegers(values, dtype, range, name);
  if (dtype === 'F64') new Float64Array(buffer).set(values);
  else if (dtype === 'F32') new Float32Array(buffer).set(values);
  else if (dtype === 'F16') encodeFloat16(asFloat32(values), new Uint16Array(buffer));
  else if (dtype === 'BF16') encodeBfloat16(asFloat32(values), new Uint16Array(buffer));
  else if (dtype === 'I64') new BigInt64Array(buffer).set(Array.from(values, BigInt));
  else if (dtype === 'I32') new Int32Array(buffer).set(values);
  else if (dtype === 'I16') new Int16Array(buffer).set(values);
  else bytes.set(values);
  return bytes;
}

function asFloat32(values: ArrayLike<number>): Float32Array {
  return values instanceof Float32Array ? values : Float32Array.from(values);
}

function assertIntegers(
  values: ArrayLike<number>,
  dtype: WeightDtype,
  [least, greatest]: readonly [number, number],
  name: string,
): void {
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    if (Number.isInteger(value) && value >= least && value <= greatest) continue;
    throw new InputError(
      `encodeValues: '${name}' has ${value} at index ${index}, but ${dtype} holds whole numbers from ${least} to ${greatest}. ` +
        `Choose another dtype, or round and clip the values first.`,
    );
  }
}
