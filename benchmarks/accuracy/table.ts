import { type OutputValues, outputError } from '../../packages/compiler/src/quantize/output-errors.ts';

/** Rows of cells under a header, as Markdown. */
export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

/** A share as a percentage with three digits or so. */
export function percent(share: number): string {
  return `${(100 * share).toPrecision(3)} %`;
}

/** A cosine: five digits, as many as differ from 1. */
export function cosine(value: number): string {
  return value.toFixed(5);
}

/** Relative error and least cosine of a row: `1.05 %, 0.99941`. */
export function errorCell(actual: Pick<OutputValues, 'shape' | 'data'>, expected: Float32Array): string {
  const { relativeError, cosine: cosines } = outputError({ name: '', ...actual }, expected);
  return `${percent(relativeError)}, ${cosine(cosines.min)}`;
}

/** How often the largest value of a row stands at the same place. @param width - Of a row. */
export function topAgreement(actual: Float32Array, expected: Float32Array, width: number): string {
  let same = 0;
  const rows = actual.length / width;
  for (let row = 0; row < rows; row++) {
    same += Number(largestOf(actual, row * width, width) === largestOf(expected, row * width, width));
  }
  return `${same} of ${rows}`;
}

function largestOf(values: Float32Array, begin: number, width: number): number {
  let largest = 0;
  for (let index = 1; index < width; index++) if (values[begin + index]! > values[begin + largest]!) largest = index;
  return largest;
}
