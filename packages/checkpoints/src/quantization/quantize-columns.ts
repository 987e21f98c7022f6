import { InputError } from '@blip2/core';
import { quote } from '../json/parse-json.ts';
import { largestMagnitude, scaleFor, unusableValue } from './quantize-blocks.ts';

/** A matrix as whole numbers with one scale for each row of the original. */
export interface QuantizedColumns {
  readonly rows: number;
  readonly columns: number;
  /** `[columns, rows]`: transposed, as `DynamicQuantizeMatMul` multiplies from the right. */
  readonly codes: Int8Array<ArrayBuffer>;
  /** `[rows]` */
  readonly scales: Float32Array<ArrayBuffer>;
}

/** Rows and columns of a tile of the transposition: its codes fit the first-level cache. */
const TILE = 64;

/**
 * Quantises a matrix `[rows, columns]` = `[out, in]` to signed 8 bits with one scale for each output, transposed to `[in, out]`: the right side of ONNX
 * Runtime's `DynamicQuantizeMatMul` with `b_scale` `[out]` and no zero point. Every weight is within half a scale.
 *
 * @param values - `[rows, columns]`, row-major; not changed.
 * @throws {InputError} for a value that is NaN, infinite or beyond 2^120, naming weight and place.
 *
 * Source: ONNX Runtime, docs/ContribOperators.md, `com.microsoft.DynamicQuantizeMatMul`.
 */
export function quantizeColumns(
  values: Float32Array,
  { rows, columns, name = 'weight' }: { readonly rows: number; readonly columns: number; readonly name?: string },
): QuantizedColumns {
  if (values.length !== rows * columns) {
    throw new InputError(
      `quantizeColumns: ${quote(name)} has ${values.length} values, but [${rows}, ${columns}] needs ${rows * columns}. Pass the whole matrix, row-major.`,
    );
  }
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const scale = scaleFor(largestMagnitude(values, row * columns, (row + 1) * columns), 127);
    if (Number.isNaN(scale)) throw unusableValue(values, columns, name);
    scales[row] = scale;
  }
  const codes = new Int8Array(columns * rows);
  for (let top = 0; top < rows; top += TILE) {
    for (let left = 0; left < columns; left += TILE) {
      quantizeTile(values, rows, columns, top, left, scales, codes);
    }
  }
  return { rows, columns, codes, scales };
}

/** The codes of a square of the matrix, so that both reading by rows and writing by columns stay in the cache. */
function quantizeTile(
  values: Float32Array,
  rows: number,
  columns: number,
  top: number,
  left: number,
  scales: Float32Array,
  codes: Int8Array,
): void {
  const bottom = Math.min(top + TILE, rows);
  const right = Math.min(left + TILE, columns);
  for (let row = top; row < bottom; row++) {
    const inverse = scales[row] === 0 ? 0 : 1 / scales[row]!;
    for (let column = left; column < right; column++) {
      codes[column * rows + row] = ((values[row * columns + column]! * inverse + 128.5) | 0) - 128;
    }
  }
}

/**
 * The float values of a matrix quantised by columns.
 *
 * @returns `[rows, columns]`, row-major, the caller's.
 */
export function dequantizeColumns({ rows, columns, codes, scales }: QuantizedColumns): Float32Array<ArrayBuffer> {
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) values[row * columns + column] = codes[column * rows + row]! * scales[row]!;
  }
  return values;
}
