import { expect, it } from 'vitest';
import { chooseForms } from './choose-forms.ts';
import { outputError } from './output-errors.ts';
import { INTEGER_FORMS } from './predict-error.ts';
import { formatReport, type ProductReport, type QuantizationReport, summarizeReport } from './report.ts';

const error = (results: number, worstRow = results) => ({ weights: results / 2, results, worstRow });
const errors = (...[rows, scaledRows, blocks, scaledBlocks]: [number, number, number, number]) => ({
  rows: error(rows),
  'scaled rows': error(scaledRows),
  blocks: error(blocks),
  'scaled blocks': error(scaledBlocks),
});

const product = (name: string, form: ProductReport['form'], bits: ProductReport['bits'] = 8): ProductReport => ({
  name,
  outputs: 6144,
  inputs: 1408,
  form,
  bits,
  measured: {
    low: -4.5,
    high: 349,
    rms: 0.59,
    errors: { ...errors(0.0105, 0.0102, 0.009, 0.009), float32: error(0) },
  },
});

const report: QuantizationReport = {
  name: 'vision encoder',
  products: [product('0.query', 'rows'), product('0.key', 'rows'), product('1.out', 'blocks'), product('1.in', 'float32', 32)],
  outputs: [{ name: 'value', cosine: { min: 0.9994, mean: 0.99958 }, relativeError: 0.029 }],
};

it('is a summary and a table', () => {
  expect(formatReport(report)).toMatchInlineSnapshot(`
    "vision encoder: 4 products: 2 rows, 1 blocks, 1 float32; cosine with float32 at least 0.99940, 0.99958 on average
    product  size         form     weight error  activations  rms    error   worst row
    0.query  6144 × 1408  rows     0.53 %        -4.50 … 349  0.590  1.05 %  1.05 %
    0.key    6144 × 1408  rows     0.53 %        -4.50 … 349  0.590  1.05 %  1.05 %
    1.out    6144 × 1408  blocks   0.45 %        -4.50 … 349  0.590  0.90 %  0.90 %
    1.in     6144 × 1408  float32  0.00 %        -4.50 … 349  0.590  0.00 %  0.00 %"
  `);
  const measured = { ...report, products: [{ ...product('0.query', 'blocks', 4), measured: undefined }], outputs: undefined };
  expect(formatReport(measured)).toMatchInlineSnapshot(`
    "vision encoder: 1 products: 1 blocks of 4 bits; not measured
    product  size         form              weight error  activations  rms  error  worst row
    0.query  6144 × 1408  blocks of 4 bits"
  `);
  expect(summarizeReport({ name: 'nothing', products: [] })).toMatchInlineSnapshot(`"nothing: 0 products: none; not measured"`);
});

it('chooses the fastest form within the limit; blocks may have twice the error, the worst row twice that of all', () => {
  const choose = (one: Record<(typeof INTEGER_FORMS)[number], ReturnType<typeof error>>, canScale = true) =>
    chooseForms([{ name: 'a', errors: one, canScale }], 0.02).get('a');
  expect(choose(errors(0.02, 0.01, 0.01, 0.01))).toBe('rows');
  expect(choose(errors(0.021, 0.02, 0.01, 0.01))).toBe('scaled rows');
  expect(choose(errors(0.021, 0.02, 0.01, 0.01), false)).toBe('blocks');
  expect(choose(errors(0.021, 0.021, 0.04, 0.01))).toBe('blocks');
  expect(choose(errors(0.021, 0.021, 0.041, 0.04))).toBe('scaled blocks');
  expect(choose(errors(0.021, 0.021, 0.041, 0.041))).toBe('float32');
  expect(choose({ ...errors(0, 0.01, 0.01, 0.01), rows: error(0.01, 0.041) })).toBe('scaled rows');
  expect(choose(errors(NaN, NaN, NaN, NaN))).toBe('float32');
});

it('measures rows of an output against others', () => {
  const shape = [1, 2, 2];
  expect(outputError({ name: 'a', shape, data: Float32Array.of(1, 1, 0, 2) }, Float32Array.of(1, 0, 0, 2))).toEqual({
    name: 'a',
    cosine: { min: expect.closeTo(Math.SQRT1_2, 6) as number, mean: expect.closeTo((1 + Math.SQRT1_2) / 2, 6) as number },
    relativeError: expect.closeTo(Math.sqrt(1 / 5), 6) as number,
  });
  expect(outputError({ name: 'a', shape, data: new Float32Array(4) }, new Float32Array(4)).cosine).toEqual({ min: 1, mean: 1 });
});
