import { nextTurn, type Weight } from '@blip2/core';
import type { ReadOptions } from '../bytes/byte-source.ts';
import { blockQuantizationError, joinErrors, type QuantizationError } from '../quantization/quantization-error.ts';
import { quantizeBlocks } from '../quantization/quantize-blocks.ts';
import { quantizedNames } from '../quantization/quantized-source.ts';
import type { StoredTensor } from './write-weights.ts';

/** How one matrix is to be quantised. */
export interface MatrixPlan {
  readonly bits: 8 | 4;
  readonly blockSize: number;
}

/** Weights that are quantised at once: about a tenth of a second with 4 bits, between two looks at the abort signal. */
const WEIGHTS_AT_ONCE = 4 * 1024 * 1024;

interface Parts {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
}

/**
 * A matrix `[rows, columns]` as the two tensors it is stored as. It is read and quantised, some rows at a time, when the writer asks for the first of them;
 * the other is kept until its turn, which is the next.
 *
 * @param onError - Gets how far the result is from the original.
 */
export function quantizedTensors(
  weight: Weight,
  { bits, blockSize }: MatrixPlan,
  onError: (error: QuantizationError) => void,
): StoredTensor[] {
  const [rows, columns] = weight.shape as [number, number];
  const blocks = Math.ceil(columns / blockSize);
  const blockBytes = (blockSize * bits) / 8;
  const names = quantizedNames(weight.name, bits);
  let quantizing: Promise<Parts> | undefined;
  const untaken = new Set<keyof Parts>(['codes', 'scales']);
  const take = async <Part extends keyof Parts>(part: Part, options: ReadOptions): Promise<Parts[Part]> => {
    quantizing ??= quantizeByRows(weight, { bits, blockSize }, onError, options);
    const parts = await quantizing;
    untaken.delete(part);
    if (untaken.size === 0) quantizing = undefined; // nobody needs the other part any more
    return parts[part];
  };
  return [
    {
      name: names.codes,
      dtype: 'U8',
      shape: [rows, blocks, blockBytes],
      alignment: 4, // beside its scales, not behind all floats
      read: (options) => take('codes', options),
    },
    { name: names.scales, dtype: 'F32', shape: [rows, blocks], read: (options) => take('scales', options) },
  ];
}

async function quantizeByRows(
  weight: Weight,
  { bits, blockSize }: MatrixPlan,
  onError: (error: QuantizationError) => void,
  options: ReadOptions,
): Promise<Parts> {
  const { name } = weight;
  const [rows, columns] = weight.shape as [number, number];
  const blocks = Math.ceil(columns / blockSize);
  const rowBytes = (blocks * blockSize * bits) / 8;
  const parts = { codes: new Uint8Array(rows * rowBytes), scales: new Float32Array(rows * blocks) };
  const errors: QuantizationError[] = [];
  const rowsAtOnce = Math.max(1, Math.floor(WEIGHTS_AT_ONCE / columns));
  const readRows = (begin: number): Promise<Float32Array | Int32Array> => {
    const values = weight.rows(begin, Math.min(begin + rowsAtOnce, rows)).read(options);
    values.catch(() => undefined); // awaited below; when quantising fails first, nobody does
    return values;
  };
  let next = readRows(0);
  for (let begin = 0; begin < rows; begin += rowsAtOnce) {
    const values = (await next) as Float32Array;
    const end = Math.min(begin + rowsAtOnce, rows);
    if (end < rows) next = readRows(end); // read while these are quantised
    await nextTurn();
    options.abortSignal?.throwIfAborted();
    const piece = quantizeBlocks(values, { rows: end - begin, columns, bits, blockSize, name, firstRow: begin });
    parts.codes.set(piece.codes, begin * rowBytes);
    parts.scales.set(piece.scales, begin * blocks);
    errors.push(blockQuantizationError(values, piece));
  }
  onError(joinErrors(errors));
  return parts;
}
