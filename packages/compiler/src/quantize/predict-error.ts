import type { ActivationRows, ProductStatistics } from '../passes/observe-products.ts';

/**
 * In which form a product is computed:
 * - `rows`: one scale for each row of activations and for each output's weights, the fastest with many rows;
 * - `blocks`: one for each block of a row, of activations and of weights;
 * - `scaled`: the ranges of inputs are evened out before, by moving them between activations and weights.
 */
export type ProductForm = 'rows' | 'scaled rows' | 'blocks' | 'scaled blocks' | 'float32';

/** Forms of whole numbers, fastest first. */
export const INTEGER_FORMS: readonly Exclude<ProductForm, 'float32'>[] = ['rows', 'scaled rows', 'blocks', 'scaled blocks'];

/** Relative errors of a product's form. */
export interface FormError {
  /** Of the weights: ‖Ŵ − W‖ / ‖W‖, Frobenius. */
  readonly weights: number;
  /** Of the results: √ of the mean over rows of ‖ŷ − y‖² / ‖y‖². */
  readonly results: number;
  /** The same of the worst row. */
  readonly worstRow: number;
}

/** What decides how well a matrix can be rounded. */
export interface WeightStatistics {
  readonly plain: WeightRanges;
  /** Of W·2^e. */
  readonly scaled: WeightRanges;
}

/** Squares of a matrix, summed over outputs. */
export interface WeightRanges {
  /** Σ W² for each block of inputs, `[blocks]`. */
  readonly blockEnergy: Float64Array;
  /** Σ max|W|², the largest of each output's block, `[blocks]`. */
  readonly blockRanges: Float64Array;
  /** Σ max|W|², the largest of each output. */
  readonly range: number;
}

/**
 * Reads a matrix once for what {@link predictErrors} needs of it.
 *
 * @param values - `[outputs, inputs]`, row-major; not changed.
 * @param exponents - One for each input.
 */
export function weightStatistics(values: Float32Array, exponents: readonly number[], blockSize: number): WeightStatistics {
  const inputs = exponents.length;
  const blocks = Math.ceil(inputs / blockSize);
  const factors = Float64Array.from(exponents, (exponent) => 2 ** exponent);
  const [energy, ranges] = [new Float64Array(blocks), new Float64Array(blocks)];
  const [scaledEnergy, scaledRanges] = [new Float64Array(blocks), new Float64Array(blocks)];
  let [range, scaledRange] = [0, 0];
  for (let row = 0; row < values.length; row += inputs) {
    let [largest, scaledLargest] = [0, 0];
    for (let block = 0; block < blocks; block++) {
      let [largestHere, scaledLargestHere] = [0, 0];
      const end = Math.min((block + 1) * blockSize, inputs);
      for (let input = block * blockSize; input < end; input++) {
        const magnitude = Math.abs(values[row + input]!);
        const scaled = magnitude * factors[input]!;
        energy[block]! += magnitude * magnitude;
        scaledEnergy[block]! += scaled * scaled;
        largestHere = Math.max(largestHere, magnitude);
        scaledLargestHere = Math.max(scaledLargestHere, scaled);
      }
      ranges[block]! += largestHere * largestHere;
      scaledRanges[block]! += scaledLargestHere * scaledLargestHere;
      largest = Math.max(largest, largestHere);
      scaledLargest = Math.max(scaledLargest, scaledLargestHere);
    }
    range += largest * largest;
    scaledRange += scaledLargest * scaledLargest;
  }
  return {
    plain: { blockEnergy: energy, blockRanges: ranges, range },
    scaled: { blockEnergy: scaledEnergy, blockRanges: scaledRanges, range: scaledRange },
  };
}

/** Rounding to a grid of step d leaves an error that is uniform within ±d/2: its variance is d²/12. */
const VARIANCE = 1 / 12;
/** Weights, and activations in blocks, are rounded to −127 … 127 of their largest magnitude. */
const SYMMETRIC = VARIANCE / 127 ** 2;
/** Rows, divided by their largest magnitudes, are rounded to 0 … 255 of the span that all have together. */
const ASYMMETRIC = VARIANCE / 255 ** 2;

/** A row of results that has less than this share of the mean row's energy counts as if it had that much: what it adds to the rest is nothing. */
const SMALLEST_ROW = 1e-6;

/**
 * The errors that rounding to 8 bits brings into a product, for every form. Rounding errors are taken as independent of the values and of each other, so they add
 * up by their squares; values that are mostly much smaller than a step have less error than that, not more.
 */
export function predictErrors(
  seen: ProductStatistics,
  matrix: WeightStatistics,
  blockSize: number,
): Readonly<Record<Exclude<ProductForm, 'float32'>, FormError>> {
  const zeros = seen.exponents.map(() => 0);
  const wholeEnergy = sum(matrix.plain.blockEnergy);
  const errors = (ofRow: number[], ranges: WeightRanges, exponents: readonly number[], inBlocks: boolean): FormError => ({
    weights: weightError(ranges, exponents, inBlocks ? blockSize : undefined) / Math.sqrt(wholeEnergy || 1),
    ...summarize(ofRow, seen.resultEnergy),
  });
  return {
    rows: errors(errorsByRow(seen.plain, matrix.plain), matrix.plain, zeros, false),
    'scaled rows': errors(errorsByRow(seen.scaled, matrix.scaled), matrix.scaled, seen.exponents, false),
    blocks: errors(errorsByBlock(seen.plain, matrix.plain), matrix.plain, zeros, true),
    'scaled blocks': errors(errorsByBlock(seen.scaled, matrix.scaled), matrix.scaled, seen.exponents, true),
  };
}

/** ‖ŷ − y‖² of each row, where it and each output's weights have one scale. */
function errorsByRow({ low, high, blockEnergy }: ActivationRows, matrix: WeightRanges): number[] {
  const ranges = Array.from(low, (least, row) => Math.max(-least, high[row]!));
  // Rows between −1 and 1 share a scale and a zero point; zero has a code of its own.
  const [least, largest] = ranges.reduce<readonly [number, number]>(
    ([from, to], range, row) =>
      range === 0 ? [from, to] : [Math.min(from, low[row]! / range), Math.max(to, high[row]! / range)],
    [0, 0],
  );
  const fromActivations = ASYMMETRIC * (largest - least) ** 2 * sum(matrix.blockEnergy);
  const fromWeights = SYMMETRIC * matrix.range;
  const blocks = matrix.blockEnergy.length;
  return ranges.map((range, row) => {
    return fromActivations * range ** 2 + fromWeights * sum(blockEnergy.subarray(row * blocks, (row + 1) * blocks));
  });
}

/** ‖ŷ − y‖² of each row, where each block of it and of each output's weights has a scale. */
function errorsByBlock({ low, blockRanges, blockEnergy }: ActivationRows, matrix: WeightRanges): number[] {
  const blocks = matrix.blockEnergy.length;
  return Array.from(low, (_, row) => {
    let error = 0;
    for (let block = 0; block < blocks; block++) {
      const place = row * blocks + block;
      error += blockRanges[place]! ** 2 * matrix.blockEnergy[block]! + matrix.blockRanges[block]! * blockEnergy[place]!;
    }
    return SYMMETRIC * error;
  });
}

/** Errors of rows relative to the rows. */
function summarize(errors: readonly number[], energy: Float32Array): Pick<FormError, 'results' | 'worstRow'> {
  const least = (SMALLEST_ROW * sum(energy)) / energy.length;
  const relative = errors.map((error, row) => (error === 0 ? 0 : error / Math.max(energy[row]!, least)));
  return {
    results: Math.sqrt(sum(relative) / relative.length),
    worstRow: Math.sqrt(relative.reduce((a, b) => Math.max(a, b), 0)),
  };
}

/** ‖Ŵ − W‖. @param blockSize - Inputs that share a scale. @default all */
function weightError({ range, blockRanges }: WeightRanges, exponents: readonly number[], blockSize = exponents.length): number {
  let error = 0;
  for (const [input, exponent] of exponents.entries()) {
    const squares = blockSize === exponents.length ? range : blockRanges[Math.floor(input / blockSize)]!;
    error += SYMMETRIC * squares * 4 ** -exponent;
  }
  return Math.sqrt(error);
}

function sum(values: readonly number[] | Float64Array | Float32Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
