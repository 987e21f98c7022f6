import { readGolden } from '@blip2/testing';
import { assert, integer, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { interpolatePositions } from './position-interpolation.ts';

/** A class token and a grid of one channel, as a table. */
function interpolate(values: readonly number[], from: [number, number], to: [number, number], alignCorners: boolean): number[] {
  const table = Float32Array.from([-7, ...values]);
  const grids = [from, to].map(([rows, columns]) => ({ rows, columns })) as [
    { rows: number; columns: number },
    { rows: number; columns: number },
  ];
  const result = interpolatePositions(table, ...grids, { alignCorners });
  expect(result[0]).toBe(-7);
  return [...result.subarray(1)];
}

describe('interpolatePositions', () => {
  const golden = readGolden('models/ops');

  it.each([0, 1, 2, 3, 4, 5])('equals torch, case %i, both ways of aligning', (index) => {
    const input = golden.get(`bicubic.${index}.input`);
    const [, channels, rows, columns] = input.shape as [number, number, number, number];
    for (const alignCorners of [false, true]) {
      const expected = golden.get(`bicubic.${index}.output_align_corners_${alignCorners}`);
      const [, , toRows, toColumns] = expected.shape as [number, number, number, number];
      for (let channel = 0; channel < channels; channel++) {
        const plane = Array.from(input.data.subarray(channel * rows * columns, (channel + 1) * rows * columns));
        const result = interpolate(plane, [rows, columns], [toRows, toColumns], alignCorners);
        const size = toRows * toColumns;
        expect(result).toBeAllclose(expected.data.slice(channel * size, (channel + 1) * size), 1e-5);
      }
    }
  });

  it('keeps channels apart', () => {
    const input = golden.get('bicubic.0.input');
    const expected = golden.get('bicubic.0.output_align_corners_false');
    const table = new Float32Array(10 * 3); // a class token and 9 patches, 3 channels
    for (let patch = 0; patch < 9; patch++) {
      for (let channel = 0; channel < 3; channel++) table[(1 + patch) * 3 + channel] = input.data[channel * 9 + patch]!;
    }
    const result = interpolatePositions(table, { rows: 3, columns: 3 }, { rows: 5, columns: 5 }, { alignCorners: false });
    const channelsFirst = Float32Array.from(
      { length: 75 },
      (_, index) => result[(1 + (index % 25)) * 3 + Math.floor(index / 25)]!,
    );
    expect(channelsFirst).toBeAllclose(expected.data, 1e-5);
  });

  it('reproduces the figures of the specification', () => {
    const source = Array.from({ length: 16 }, (_, index) => index ** 2 % 11);
    const first = (alignCorners: boolean) => interpolate(source, [1, 16], [1, 26], alignCorners).slice(0, 8);
    expect(first(false)).toBeAllclose([-0.094091, 0.181341, 1.111117, 2.517581, 5.715052, 8.818602, 7.65625, 4.537608], 1e-6);
    expect(first(true)).toBeAllclose([0, 0.288, 1.504, 3.016, 6.552, 9, 7.128, 4.264], 1e-6);
  });

  it('returns the table itself for an equal grid', () => {
    const table = Float32Array.from({ length: 257 * 2 }, (_, index) => index);
    const grid = { rows: 16, columns: 16 };
    expect(interpolatePositions(table, grid, { ...grid }, { alignCorners: false })).toBe(table);
  });

  it('keeps constant positions constant, whatever the grids (property)', () => {
    const side = integer({ min: 1, max: 9 });
    assert(
      property(side, side, side, side, (rows, columns, toRows, toColumns) => {
        const values = Array.from({ length: rows * columns }, () => 0.75);
        for (const alignCorners of [false, true]) {
          const result = interpolate(values, [rows, columns], [toRows, toColumns], alignCorners);
          expect(result).toBeAllclose(new Float32Array(toRows * toColumns).fill(0.75), 1e-6);
        }
      }),
    );
  });

  it('refuses a table of another grid', () => {
    const call = () =>
      interpolatePositions(new Float32Array(257), { rows: 26, columns: 26 }, { rows: 16, columns: 16 }, { alignCorners: false });
    expect(call).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: interpolatePositions: the table has 257 numbers, expected [677, width] for a class token and 26×26 patches. Pass the grid that the table was made for.]`,
    );
  });
});
