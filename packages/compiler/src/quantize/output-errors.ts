import type { OutputError } from './report.ts';

/** Values of one output. */
export interface OutputValues {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/**
 * How far values are from others, row by row along the last axis. Rows that are zero in both have cosine 1.
 *
 * @param reference - Of the same shape.
 */
export function outputError({ name, shape, data }: OutputValues, reference: Float32Array): OutputError {
  const width = Math.max(1, shape.at(-1) ?? 1);
  let [min, sum, difference, energy] = [1, 0, 0, 0];
  for (let row = 0; row < data.length; row += width) {
    let [product, own, other] = [0, 0, 0];
    for (let index = row; index < row + width; index++) {
      const [a, b] = [data[index]!, reference[index]!];
      product += a * b;
      own += a * a;
      other += b * b;
      difference += (a - b) ** 2;
    }
    energy += other;
    const cosine = own === 0 && other === 0 ? 1 : product / Math.sqrt(own * other || 1);
    min = Math.min(min, cosine);
    sum += cosine;
  }
  const rows = data.length / width;
  return {
    name,
    cosine: { min, mean: rows === 0 ? 1 : sum / rows },
    relativeError: energy === 0 ? Math.sqrt(difference) : Math.sqrt(difference / energy),
  };
}
