import { InputError } from '@blip2/core';

/**
 * The value in the middle, or the mean of the two in the middle.
 *
 * @throws {InputError} without values.
 *
 * @example
 * median([3, 1, 100]); // 3
 */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new InputError('median: got no values, expected at least one. Measure something first.');
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[upper]! : (sorted[upper - 1]! + sorted[upper]!) / 2;
}

/** How far two lists of numbers are from each other. */
export interface Agreement {
  /** The largest difference, over the largest number of the second list. */
  readonly largestRelativeDifference: number;
  /** Cosine of the two as vectors, row by row. */
  readonly cosine: { readonly min: number; readonly mean: number };
}

/**
 * Compares two results row by row.
 *
 * @param rowLength - Numbers in a row: the width of a token's features.
 * @throws {InputError} when the lists have different lengths, or rows do not divide them.
 */
export function agreementOf(ours: Float32Array, theirs: Float32Array, rowLength: number): Agreement {
  if (ours.length !== theirs.length || ours.length === 0 || ours.length % rowLength !== 0) {
    throw new InputError(
      `agreementOf: got ${ours.length} and ${theirs.length} numbers in rows of ${rowLength}, expected as many of both in whole rows. ` +
        `Compare results of the same task.`,
    );
  }
  const cosines: number[] = [];
  let [difference, scale] = [0, 0];
  for (let begin = 0; begin < ours.length; begin += rowLength) {
    let [product, ourSquares, theirSquares] = [0, 0, 0];
    for (let index = begin; index < begin + rowLength; index++) {
      const [a, b] = [ours[index]!, theirs[index]!];
      product += a * b;
      ourSquares += a * a;
      theirSquares += b * b;
      difference = Math.max(difference, Math.abs(a - b));
      scale = Math.max(scale, Math.abs(b));
    }
    cosines.push(product / Math.sqrt(ourSquares * theirSquares));
  }
  return {
    largestRelativeDifference: difference / scale,
    cosine: { min: cosines.reduce((a, b) => Math.min(a, b)), mean: cosines.reduce((a, b) => a + b) / cosines.length },
  };
}
