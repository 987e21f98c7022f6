import { DTYPE_BYTES, ShapeError, sizeOf, type Weight, type WeightDtype } from '@blip2/core';
import type { ByteSource, ReadOptions } from '../bytes/byte-source.ts';
import { decodeValues, decodeValuesInto, makeValues, type Values } from './values.ts';

/**
 * Values that are converted are read in pieces of this many elements, so that one piece is read while another is converted, and an
 * abort is noticed soon.
 */
const PIECE_LENGTH = 1024 * 1024;

/**
 * A weight whose values lie in a file. Nothing is read before `read()`.
 *
 * @param byteOffset - Of the first value, in the file.
 */
export function storedWeight(
  source: ByteSource,
  name: string,
  dtype: WeightDtype,
  shape: readonly number[],
  byteOffset: number,
): Weight {
  const byteLength = sizeOf(shape) * DTYPE_BYTES[dtype];
  return {
    name,
    dtype,
    shape,
    location: { file: source.name, byteOffset, byteLength },
    read: (options) => readValues(source, name, dtype, byteOffset, sizeOf(shape), options),
    rows(begin, end) {
      assertRows(name, shape, begin, end);
      const rowShape = shape.slice(1);
      const rowBytes = sizeOf(rowShape) * DTYPE_BYTES[dtype];
      return storedWeight(source, name, dtype, [end - begin, ...rowShape], byteOffset + begin * rowBytes);
    },
  };
}

/**
 * Checks the arguments of {@link Weight.rows}.
 * @throws {ShapeError} when the weight has no rows or not that many.
 */
export function assertRows(name: string, shape: readonly number[], begin: number, end: number): void {
  const count = shape[0] ?? 0;
  if (shape.length > 0 && Number.isInteger(begin) && Number.isInteger(end) && begin >= 0 && begin <= end && end <= count) return;
  const found = shape.length === 0 ? 'is a scalar and has no rows' : `is [${shape.join(', ')}], ${count} rows`;
  throw new ShapeError(`rows: '${name}' ${found}; rows [${begin}, ${end}) are not part of it.`, shape, [end]);
}

async function readValues(
  source: ByteSource,
  name: string,
  dtype: WeightDtype,
  byteOffset: number,
  length: number,
  options: ReadOptions = {},
): Promise<Values> {
  const width = DTYPE_BYTES[dtype];
  const context = { file: source.name, name };
  // F32 and I32 need no conversion: one read, whose memory becomes the result.
  if (dtype === 'F32' || dtype === 'I32' || length <= PIECE_LENGTH) {
    return decodeValues(await source.read(byteOffset, length * width, options), dtype, context);
  }
  const values = makeValues(dtype, length);
  const readPiece = (begin: number): Promise<Uint8Array> => {
    const pieceLength = Math.min(PIECE_LENGTH, length - begin);
    const piece =
      width === 2 && source.readInto !== undefined
        ? readIntoUpperHalf(values, begin, pieceLength, (target) => source.readInto!(byteOffset + 2 * begin, target, options))
        : source.read(byteOffset + begin * width, pieceLength * width, options);
    piece.catch(() => undefined); // awaited below; when converting fails first, nobody does
    return piece;
  };
  let next = readPiece(0);
  for (let begin = 0; begin < length; begin += PIECE_LENGTH) {
    const piece = await next;
    if (begin + PIECE_LENGTH < length) next = readPiece(begin + PIECE_LENGTH); // read while this one is converted
    decodeValuesInto(piece, dtype, values.subarray(begin, begin + PIECE_LENGTH), context);
  }
  return values;
}

/**
 * Puts 16-bit values where their 32-bit forms will be: into the upper half of the result's memory, each at its own place.
 * Converting from the front never overwrites one that is still to come, because value i of n ends at byte 4i + 4 and value i + 1 lies at
 * 2n + 2i + 2. This takes no memory besides the result, and fresh memory is dear: its first use costs more than the conversion.
 */
async function readIntoUpperHalf(
  values: Values,
  begin: number,
  length: number,
  fill: (target: Uint8Array<ArrayBuffer>) => Promise<void>,
): Promise<Uint8Array> {
  const target = new Uint8Array(values.buffer, 2 * values.length + 2 * begin, 2 * length);
  await fill(target);
  return target;
}
