import { dequantizeColumns } from '@blip2/checkpoints';
import { weightFromValues } from '@blip2/core';
import { expect, it } from 'vitest';
import { convertWeight } from './convert-weight.ts';

const [rows, columns] = [3, 4];
const values = Float32Array.from(
  { length: rows * columns },
  (_, index) => Math.sin(index + 1) / (index % columns === 2 ? 64 : 1),
);
const weight = weightFromValues('w', [rows, columns], values);

it('gives inputs a part of the range of their activations before it rounds', async () => {
  const inputExponents = [0, 0, 6, 0];
  const [codes, scales] = await convertWeight(weight, { kind: 'columns', inputExponents });
  const restored = dequantizeColumns({
    rows,
    columns,
    codes: new Int8Array(codes!.bytes.buffer),
    scales: new Float32Array(scales!.bytes.buffer),
  }).map((value, index) => value * 2 ** -inputExponents[index % columns]!);
  for (const [index, value] of values.entries()) expect(Math.abs(restored[index]! / value - 1)).toBeLessThan(0.02);
  expect(await weight.read()).toEqual(values); // and leaves the weight as it is
});

it('tells forms with other ranges apart', async () => {
  const codesOf = async (inputExponents?: readonly number[]): Promise<Uint8Array> =>
    (await convertWeight(weight, { kind: 'blocks', bits: 8, blockSize: 16, inputExponents }))[0]!.bytes;
  expect(await codesOf([0, 0, 0, 0])).toEqual(await codesOf());
  expect(await codesOf([0, 0, 6, 0])).not.toEqual(await codesOf());
});
