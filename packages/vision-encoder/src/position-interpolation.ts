import { ShapeError } from '@blip2/core';

/** Patches of an image: how many rows and columns. */
export interface PatchGrid {
  readonly rows: number;
  readonly columns: number;
}

/** Sharpness of the cubic kernel. Source: PyTorch's `bicubic` mode; Pillow, for pixels, uses −0.5. */
const CUBIC_A = -0.75;

/**
 * Fits a table of learned positions to another grid of patches. The class token's row is kept; the others are
 * resized as an image of `width` channels: bicubic, no antialiasing, borders repeated.
 *
 * @param table - `[1 + rows·columns, width]` of the grid `from`, row-major; kept.
 * @param options.alignCorners - Whether corner patches stay corner patches (`true`: LAVIS for CLIP), or the area they
 *   cover stays (`false`: EVA and transformers).
 * @returns `[1 + rows·columns, width]` of the grid `to`; the table itself when the grids are equal.
 * @throws {ShapeError} when the table does not belong to the grid `from`.
 *
 * @example
 * const table = interpolatePositions(positions, { rows: 16, columns: 16 }, { rows: 26, columns: 26 }, { alignCorners: false });
 *
 * Source: LAVIS `interpolate_pos_embed`; transformers `Blip2VisionEmbeddings.interpolate_pos_encoding`;
 * `torch.nn.functional.interpolate(mode='bicubic')`.
 */
export function interpolatePositions(
  table: Float32Array,
  from: PatchGrid,
  to: PatchGrid,
  { alignCorners }: { readonly alignCorners: boolean },
): Float32Array {
  const tokens = 1 + from.rows * from.columns;
  if (table.length === 0 || table.length % tokens !== 0) {
    throw new ShapeError(
      `interpolatePositions: the table has ${table.length} numbers, expected [${tokens}, width] for a class token and ` +
        `${from.rows}×${from.columns} patches. Pass the grid that the table was made for.`,
      [table.length],
      [tokens, 'width'],
    );
  }
  if (from.rows === to.rows && from.columns === to.columns) return table;
  const width = table.length / tokens;
  const resized = resizeGrid(table.subarray(width), width, from, to, alignCorners);
  const result = new Float32Array(width + resized.length);
  result.set(table.subarray(0, width));
  result.set(resized, width);
  return result;
}

/** `[rows, columns, width]` of one grid to another: first along columns, then along rows. */
function resizeGrid(
  values: ArrayLike<number>,
  width: number,
  from: PatchGrid,
  to: PatchGrid,
  alignCorners: boolean,
): Float64Array {
  const columns = cubicTaps(from.columns, to.columns, alignCorners);
  const wide = new Float64Array(from.rows * to.columns * width);
  for (let row = 0; row < from.rows; row++) {
    columns.forEach((taps, column) => {
      const target = (row * to.columns + column) * width;
      for (const { index, weight } of taps) addScaled(wide, target, values, (row * from.columns + index) * width, weight, width);
    });
  }
  const result = new Float64Array(to.rows * to.columns * width);
  const rowSize = to.columns * width;
  cubicTaps(from.rows, to.rows, alignCorners).forEach((taps, row) => {
    for (const { index, weight } of taps) addScaled(result, row * rowSize, wide, index * rowSize, weight, rowSize);
  });
  return result;
}

interface Tap {
  readonly index: number;
  readonly weight: number;
}

/** For each of `to` positions, the four of `from` positions it is made of. */
function cubicTaps(from: number, to: number, alignCorners: boolean): Tap[][] {
  return Array.from({ length: to }, (_, position) => {
    const source = sourceCoordinate(position, from, to, alignCorners);
    const nearest = Math.floor(source);
    return [-1, 0, 1, 2].map((offset) => ({
      index: Math.min(from - 1, Math.max(0, nearest + offset)),
      weight: cubic(source - nearest - offset),
    }));
  });
}

/** May lie before the first position: only the taps are clamped. */
function sourceCoordinate(position: number, from: number, to: number, alignCorners: boolean): number {
  if (alignCorners) return to === 1 ? 0 : (position * (from - 1)) / (to - 1);
  return ((position + 0.5) * from) / to - 0.5;
}

/** Keys' cubic convolution kernel. */
function cubic(offset: number): number {
  const x = Math.abs(offset);
  if (x <= 1) return ((CUBIC_A + 2) * x - (CUBIC_A + 3)) * x * x + 1;
  if (x < 2) return ((CUBIC_A * x - 5 * CUBIC_A) * x + 8 * CUBIC_A) * x - 4 * CUBIC_A;
  return 0;
}

function addScaled(
  target: Float64Array,
  targetOffset: number,
  source: ArrayLike<number>,
  sourceOffset: number,
  weight: number,
  count: number,
): void {
  for (let index = 0; index < count; index++) target[targetOffset + index]! += weight * source[sourceOffset + index]!;
}
