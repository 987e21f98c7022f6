import { InputError, ShapeError, sizeOf } from '@blip2/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blockQuantizationError, errorBetween, joinErrors } from './quantization-error.ts';
import { dequantizeBlocks, quantizeBlocks, type QuantizedBlocks } from './quantize-blocks.ts';
import { dequantizeColumns, quantizeColumns } from './quantize-columns.ts';

/** Numbers that look normally distributed and are the same everywhere. */
function bellShaped(length: number, seed = 1): Float32Array<ArrayBuffer> {
  let state = seed;
  const uniform = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return state / 2 ** 31;
  };
  return Float32Array.from({ length }, () => uniform() + uniform() + uniform());
}

function restored(quantized: QuantizedBlocks): Float32Array {
  return dequantizeBlocks(quantized, new Float32Array(quantized.rows * quantized.columns));
}

/** Codes of every column, unpacked by the definition of the layout, padding left out. */
function plainCodes({ rows, columns, bits, blockSize, codes }: QuantizedBlocks): number[] {
  const blocks = Math.ceil(columns / blockSize);
  return Array.from({ length: rows * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    const place = (row * blocks + Math.floor(column / blockSize)) * blockSize + (column % blockSize); // in codes
    if (bits === 8) return codes[place]!;
    return place % 2 === 0 ? codes[place / 2]! & 15 : codes[(place - 1) / 2]! >> 4;
  });
}

/** The squared error of a block rounded with one scale, by the definition. */
function squaredErrorWith(scale: number, block: Float32Array): number {
  return block.reduce((sum, value) => {
    const code = scale === 0 ? 0 : Math.min(7, Math.max(-8, Math.round(value / scale)));
    return sum + (code * scale - value) ** 2;
  }, 0);
}

describe('8 bits', () => {
  it('rounds each block by its largest magnitude, as written out plainly', () => {
    const [rows, columns, blockSize] = [5, 72, 32];
    const values = bellShaped(rows * columns);
    const quantized = quantizeBlocks(values, { rows, columns, bits: 8, blockSize });
    const codes = plainCodes(quantized);
    for (let row = 0; row < rows; row++) {
      for (let begin = 0; begin < columns; begin += blockSize) {
        const block = [...values.subarray(row * columns + begin, row * columns + Math.min(begin + blockSize, columns))];
        const scale = Math.fround(Math.max(...block.map(Math.abs)) / 127);
        expect(quantized.scales[row * 3 + begin / blockSize]).toBe(scale);
        expect(codes.slice(row * columns + begin, row * columns + begin + block.length)).toEqual(
          block.map((value) => 128 + Math.round(value / scale)),
        );
      }
    }
    // The last block of a row has 8 columns; the other 24 codes stand for zero.
    const last = quantized.codes.subarray(2 * 32 + 8, 3 * 32);
    expect(last).toEqual(new Uint8Array(24).fill(128));
  });
});

describe('4 bits', () => {
  it('puts the earlier column into the lower half of a byte, and fills the last block with zeros', () => {
    const values = new Float32Array(18);
    values.set([-8, 7, 1, -1, 2]);
    values.set([-8, 4], 16);
    const { codes, scales } = quantizeBlocks(values, { rows: 1, columns: 18, bits: 4, blockSize: 16 });
    expect([...scales]).toEqual([1, 1]);
    const shown = [...codes].map((byte) => byte.toString(16));
    expect([shown.slice(0, 8).join(' '), shown.slice(8).join(' ')]).toEqual([
      'f0 79 8a 88 88 88 88 88',
      'c0 88 88 88 88 88 88 88',
    ]);
  });

  it('comes within 1 % of the error of the best of 300 scales for each block', () => {
    for (const blockSize of [32, 128]) {
      const values = bellShaped(64 * blockSize, blockSize);
      const quantized = quantizeBlocks(values, { rows: 64, columns: blockSize, bits: 4, blockSize });
      let best = 0;
      for (let begin = 0; begin < values.length; begin += blockSize) {
        const block = values.subarray(begin, begin + blockSize);
        const largest = Math.max(...block.map(Math.abs));
        const errors = Array.from({ length: 151 }, (_, index) => (largest / 8) * (0.4 + index / 187.5)).flatMap((scale) => [
          squaredErrorWith(scale, block),
          squaredErrorWith(-scale, block),
        ]);
        best += Math.min(...errors);
      }
      expect(Math.sqrt(blockQuantizationError(values, quantized).squaredError / best)).toBeLessThan(1.01);
    }
  });

  it('the search takes a seventh of the error of plain rounding away', () => {
    const values = bellShaped(64 * 2048);
    const quantized = quantizeBlocks(values, { rows: 64, columns: 2048, bits: 4, blockSize: 32 });
    let plain = 0;
    for (let begin = 0; begin < values.length; begin += 32) {
      const block = values.subarray(begin, begin + 32);
      plain += squaredErrorWith(Math.max(...block.map(Math.abs)) / 7, block);
    }
    const { squaredNorm, relative } = blockQuantizationError(values, quantized);
    expect(Math.sqrt(plain / squaredNorm)).toBeGreaterThan((7 / 6) * relative);
  });
});

const finite = fc.float({ noNaN: true, noDefaultInfinity: true, min: -(2 ** 100), max: 2 ** 100 });
const matrix = fc
  .tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 1, max: 70 }), fc.constantFrom(16, 32, 64))
  .chain(([rows, columns, blockSize]) =>
    fc
      .array(finite, { minLength: rows * columns, maxLength: rows * columns })
      .map((list) => ({ rows, columns, blockSize, values: Float32Array.from(list) })),
  );

describe('of any matrix', () => {
  it('8-bit weights are within half a scale', () => {
    fc.assert(
      fc.property(matrix, ({ values, ...shape }) => {
        const quantized = quantizeBlocks(values, { ...shape, bits: 8 });
        const blocks = Math.ceil(shape.columns / shape.blockSize);
        const back = restored(quantized);
        for (const [index, value] of values.entries()) {
          const [row, column] = [Math.floor(index / shape.columns), index % shape.columns];
          const scale = quantized.scales[row * blocks + Math.floor(column / shape.blockSize)]!;
          // A scale that would lose digits is zero; half a unit of float32 comes from the product.
          const bound = (scale / 2) * 1.0001 + (scale === 0 ? 127 * 2 ** -126 : 0) + Math.abs(value) * 2 ** -24;
          expect(Math.abs(back[index]! - value)).toBeLessThanOrEqual(bound);
        }
      }),
    );
  });

  it('4-bit blocks are never worse than plain symmetric rounding', () => {
    fc.assert(
      fc.property(matrix, ({ values, ...shape }) => {
        const { rows, columns, blockSize } = shape;
        const back = restored(quantizeBlocks(values, { ...shape, bits: 4 }));
        for (let row = 0; row < rows; row++) {
          for (let begin = row * columns; begin < (row + 1) * columns; begin += blockSize) {
            const end = Math.min(begin + blockSize, (row + 1) * columns);
            const block = values.subarray(begin, end);
            const largest = Math.max(...block.map(Math.abs));
            const { squaredError } = errorBetween(block, back.subarray(begin, end));
            const plain = squaredErrorWith(largest / 7, block);
            expect(squaredError).toBeLessThanOrEqual(plain * 1.0001 + block.length * (largest * 2 ** -22 + 2 ** -118) ** 2);
          }
        }
      }),
    );
  });

  it('the mirrored matrix has mirrored values, with 8 and 4 bits', () => {
    fc.assert(
      fc.property(matrix, fc.constantFrom<8 | 4>(8, 4), ({ values, ...shape }, bits) => {
        const mirrored = values.map((value) => -value);
        const { maxAbs, squaredError } = errorBetween(values, restored(quantizeBlocks(values, { ...shape, bits })));
        const other = errorBetween(mirrored, restored(quantizeBlocks(mirrored, { ...shape, bits })));
        // Ties round up on both sides, so single weights may differ, by no more than the error.
        expect(other.maxAbs).toBeLessThanOrEqual(maxAbs * 1.1 + 1e-30);
        expect(other.squaredError).toBeLessThanOrEqual(squaredError * 1.1 + 1e-30);
      }),
    );
  });

  it('columns: within half a scale, transposed', () => {
    fc.assert(
      fc.property(matrix, ({ values, rows, columns }) => {
        const quantized = quantizeColumns(values, { rows, columns });
        const back = dequantizeColumns(quantized);
        for (const [index, value] of values.entries()) {
          const scale = quantized.scales[Math.floor(index / columns)]!;
          const bound = (scale / 2) * 1.0001 + (scale === 0 ? 127 * 2 ** -126 : 0) + Math.abs(value) * 2 ** -24;
          expect(Math.abs(back[index]! - value)).toBeLessThanOrEqual(bound);
        }
      }),
    );
  });
});

describe('special matrices', () => {
  it('zeros stay zeros, also in a single block', () => {
    for (const bits of [8, 4] as const) {
      const values = bellShaped(4 * 64);
      values.fill(0, 64, 96);
      const quantized = quantizeBlocks(values, { rows: 4, columns: 64, bits, blockSize: 32 });
      expect(quantized.scales[2]).toBe(0);
      expect(restored(quantized).subarray(64, 96)).toEqual(new Float32Array(32));
    }
    expect(quantizeColumns(new Float32Array(6), { rows: 2, columns: 3 }).scales).toEqual(new Float32Array(2));
  });

  it('rows of one value are exact to the last digits', () => {
    for (const bits of [8, 4] as const) {
      const values = Float32Array.from({ length: 3 * 40 }, (_, index) => [0.3, -7, 1e-20][Math.floor(index / 40)]!);
      const quantized = quantizeBlocks(values, { rows: 3, columns: 40, bits, blockSize: 32 });
      expect(blockQuantizationError(values, quantized).relative).toBeLessThan(1e-7);
    }
  });

  it('the largest and the smallest floats', () => {
    for (const bits of [8, 4] as const) {
      const values = Float32Array.of(2 ** 120, -(2 ** 120), 1e36, 0, ...Array.from<number>({ length: 12 }).fill(1e-45));
      const back = restored(quantizeBlocks(values, { rows: 1, columns: 16, bits, blockSize: 16 }));
      expect(back.every(Number.isFinite)).toBe(true);
      const tiny = new Float32Array(16).fill(-1e-45);
      expect(restored(quantizeBlocks(tiny, { rows: 1, columns: 16, bits, blockSize: 16 })).every((value) => value === 0)).toBe(
        true,
      );
    }
  });

  it('no rows at all', () => {
    expect(quantizeBlocks(new Float32Array(0), { rows: 0, columns: 8, bits: 4, blockSize: 16 }).codes).toHaveLength(0);
  });
});

it('errors of parts add up to the error of the whole', () => {
  const [a, b] = [bellShaped(96, 3), bellShaped(96, 4)];
  const approximate = (values: Float32Array): Float32Array => values.map((value) => Math.round(4 * value) / 4);
  const joint = joinErrors([errorBetween(a, approximate(a)), errorBetween(b, approximate(b))]);
  const whole = errorBetween(Float32Array.of(...a, ...b), Float32Array.of(...approximate(a), ...approximate(b)));
  expect(joint.relative).toBeCloseTo(whole.relative, 12);
  expect(joint.maxAbs).toBe(whole.maxAbs);
  const quantized = quantizeBlocks(a, { rows: 3, columns: 32, bits: 4, blockSize: 16 });
  expect(blockQuantizationError(a, quantized).relative).toBeCloseTo(errorBetween(a, restored(quantized)).relative, 12);
  expect(errorBetween(new Float32Array(2), new Float32Array(2)).relative).toBe(0);
  expect(() => errorBetween(a, new Float32Array(3))).toThrow(ShapeError);
});

it('says what it cannot quantise', () => {
  const values = new Float32Array(sizeOf([2, 32]));
  const message = (quantize: () => unknown): string => {
    try {
      quantize();
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
      return (error as Error).message;
    }
    return 'nothing';
  };
  const broken = (at: number, value: number): Float32Array => values.with(at, value) as Float32Array;
  const shape = { rows: 2, columns: 32, blockSize: 16, name: 'model.layers.0.fc1.weight' } as const;
  expect([
    message(() => quantizeBlocks(broken(40, Number.NaN), { ...shape, bits: 8 })),
    message(() => quantizeBlocks(broken(31, Number.NEGATIVE_INFINITY), { ...shape, bits: 4 })),
    message(() => quantizeBlocks(broken(17, Number.NaN), { ...shape, bits: 4 })),
    message(() => quantizeBlocks(broken(0, -3e38), { ...shape, bits: 8 })),
    message(() => quantizeColumns(broken(40, Number.POSITIVE_INFINITY), shape)),
    message(() => quantizeBlocks(values, { ...shape, bits: 8, blockSize: 24 })),
    message(() => quantizeBlocks(values, { ...shape, bits: 8, rows: 3 })),
    message(() => quantizeColumns(values, { rows: 1, columns: 2 })),
  ]).toMatchInlineSnapshot(`
    [
      "Quantising: 'model.layers.0.fc1.weight' has NaN at row 1, column 8, expected finite numbers up to 2^120. Check the checkpoint, or keep this weight in full precision.",
      "Quantising: 'model.layers.0.fc1.weight' has -Infinity at row 0, column 31, expected finite numbers up to 2^120. Check the checkpoint, or keep this weight in full precision.",
      "Quantising: 'model.layers.0.fc1.weight' has NaN at row 0, column 17, expected finite numbers up to 2^120. Check the checkpoint, or keep this weight in full precision.",
      "Quantising: 'model.layers.0.fc1.weight' has -3.0000000054977558e+38 at row 0, column 0, expected finite numbers up to 2^120. Check the checkpoint, or keep this weight in full precision.",
      "Quantising: 'model.layers.0.fc1.weight' has Infinity at row 1, column 8, expected finite numbers up to 2^120. Check the checkpoint, or keep this weight in full precision.",
      "Quantising: the block size is 24, expected a power of two from 16 to 1024. Take 128, or 32 for 4 bits.",
      "quantizeBlocks: 'model.layers.0.fc1.weight' has 64 values, but [3, 32] needs 96. Pass the whole matrix, row-major.",
      "quantizeColumns: 'weight' has 64 values, but [1, 2] needs 2. Pass the whole matrix, row-major.",
    ]
  `);
});
