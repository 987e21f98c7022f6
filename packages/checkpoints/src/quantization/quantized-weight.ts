import { sizeOf, type QuantizedParts, type Weight } from '@blip2/core';
import type { ReadOptions } from '../bytes/byte-source.ts';
import { assertRows } from '../safetensors/stored-weight.ts';
import { dequantizeBlocks } from './quantize-blocks.ts';

/** Codes are read and turned into floats in pieces of about this many bytes: the next is read meanwhile, and an abort is noticed soon. */
const PIECE_BYTES = 1024 * 1024;

/**
 * A matrix that is stored quantised as one weight: `read` gives its float values, `rows` works by reference.
 *
 * @param columns - The last block of a row may be filled up; its rest is left out.
 * @param parts - They fit one another and the columns.
 */
export function quantizedWeight(name: string, columns: number, parts: QuantizedParts): Weight {
  const shape = [parts.codes.shape[0]!, columns];
  return {
    name,
    dtype: 'F32',
    shape,
    quantized: parts,
    read: (options) => readFloats(parts, columns, options),
    rows(begin, end) {
      assertRows(name, shape, begin, end);
      const { codes, scales } = parts;
      return quantizedWeight(name, columns, { ...parts, codes: codes.rows(begin, end), scales: scales.rows(begin, end) });
    },
  };
}

async function readFloats(
  { bits, blockSize, codes, scales }: QuantizedParts,
  columns: number,
  options: ReadOptions = {},
): Promise<Float32Array> {
  const rows = codes.shape[0]!;
  const [blocks, blockBytes] = [codes.shape[1]!, codes.shape[2]!];
  const values = new Float32Array(sizeOf([rows, columns]));
  const rowsAtOnce = Math.max(1, Math.floor(PIECE_BYTES / (blocks * blockBytes)));
  const readPiece = (row: number): Promise<Float32Array | Int32Array> => {
    const piece = codes.rows(row, Math.min(row + rowsAtOnce, rows)).read(options);
    piece.catch(() => undefined); // awaited below; when something else fails first, nobody does
    return piece;
  };
  const allScales = (await scales.read(options)) as Float32Array;
  let next = readPiece(0);
  for (let row = 0; row < rows; row += rowsAtOnce) {
    const piece = (await next) as Int32Array;
    if (row + rowsAtOnce < rows) next = readPiece(row + rowsAtOnce); // read while this one is converted
    const target = values.subarray(row * columns, Math.min(row + rowsAtOnce, rows) * columns);
    dequantizeBlocks({ columns, bits, blockSize, codes: piece, scales: allScales.subarray(row * blocks) }, target);
  }
  return values;
}
