import { DTYPE_BYTES, type WeightDtype } from '@blip2/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { byteSourceFromBytes } from '../bytes/byte-source.ts';
import { encodeSafetensors, type TensorData } from './encode-safetensors.ts';
import { openSafetensors } from './open-safetensors.ts';

const RANGES: Partial<Record<WeightDtype, [number, number]>> = {
  I64: [-(2 ** 31), 2 ** 31 - 1],
  I32: [-(2 ** 31), 2 ** 31 - 1],
  I16: [-32768, 32767],
  I8: [-128, 127],
  U8: [0, 255],
  BOOL: [0, 1],
};

/** Values that a dtype holds exactly, as an array of the kind that is read back. */
function valuesOf(dtype: WeightDtype, length: number): fc.Arbitrary<Float32Array | Int32Array> {
  const range = RANGES[dtype];
  const exactly = { minLength: length, maxLength: length };
  if (range !== undefined) {
    return fc.array(fc.integer({ min: range[0], max: range[1] }), exactly).map((values) => Int32Array.from(values));
  }
  // Whole numbers up to 256 and their 64th parts are exact in all float formats.
  const exact = fc.tuple(fc.integer({ min: -255, max: 255 }), fc.boolean()).map(([value, small]) => (small ? value / 64 : value));
  return fc.array(dtype === 'F32' || dtype === 'F64' ? fc.float() : exact, exactly).map((values) => Float32Array.from(values));
}

const tensor: fc.Arbitrary<TensorData> = fc
  .tuple(
    fc.constantFrom(...(Object.keys(DTYPE_BYTES) as WeightDtype[])),
    fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
  )
  .chain(([dtype, shape]) => {
    const length = shape.reduce((product, size) => product * size, 1);
    return valuesOf(dtype, length).map((values) => ({ dtype, shape, values }));
  });

const RESERVED = new Set(['__proto__', 'constructor', 'prototype', '__metadata__']);
const name = fc.string({ unit: 'binary', maxLength: 20 }).filter((text) => !RESERVED.has(text) && text.isWellFormed());
const tensors = fc.array(fc.tuple(name, tensor), { maxLength: 8 }).map((entries) => new Map(entries));
const metadata = fc.dictionary(name, fc.string({ unit: 'grapheme' }), { noNullPrototype: true });

test('decode ∘ encode is the identity, for any names, dtypes, shapes and metadata', async () => {
  await fc.assert(
    fc.asyncProperty(tensors, metadata, async (given, notes) => {
      const bytes = encodeSafetensors(Object.fromEntries(given), { metadata: notes });
      const file = await openSafetensors(byteSourceFromBytes('f', bytes));
      expect(new Set(file.names)).toEqual(new Set(given.keys()));
      expect(new Map(file.metadata)).toEqual(new Map(Object.entries(notes)));
      for (const [key, { dtype, shape, values }] of given) {
        const weight = file.get(key)!;
        expect([weight.name, weight.dtype, weight.shape]).toEqual([key, dtype, shape]);
        expect(await weight.read()).toEqual(values);
      }
    }),
    { numRuns: 150 },
  );
});

test('every tensor begins at a multiple of its element size, as readers that map files need', () => {
  fc.assert(
    fc.property(tensors, (given) => {
      const bytes = encodeSafetensors(Object.fromEntries(given));
      const headerLength = Number(new DataView(bytes.buffer).getBigUint64(0, true));
      const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength))) as Record<
        string,
        { dtype: WeightDtype; data_offsets: [number, number] }
      >;
      for (const [key, entry] of Object.entries(header)) {
        if (key !== '__metadata__') expect((8 + headerLength + entry.data_offsets[0]) % DTYPE_BYTES[entry.dtype]).toBe(0);
      }
    }),
    { numRuns: 50 },
  );
});

test('rows are the values of the whole, sliced', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<WeightDtype>('F32', 'F16', 'BF16', 'I64', 'U8'),
      fc.integer({ min: 0, max: 6 }),
      fc.integer({ min: 0, max: 3 }),
      fc.nat(),
      fc.nat(),
      async (dtype, rows, width, a, b) => {
        const values = Float32Array.from({ length: rows * width }, (_, index) => index);
        const bytes = encodeSafetensors({
          pad: { shape: [1], values: [1], dtype: 'U8' },
          w: { shape: [rows, width], values, dtype },
        });
        const file = await openSafetensors(byteSourceFromBytes('f', bytes));
        const [begin, end] = [a % (rows + 1), b % (rows + 1)].toSorted((x, y) => x - y) as [number, number];
        const part = file.get('w')!.rows(begin, end);
        expect(part.shape).toEqual([end - begin, width]);
        expect(Array.from(await part.read())).toEqual(Array.from(values.subarray(begin * width, end * width)));
        expect(part.location!.byteLength).toBe((end - begin) * width * DTYPE_BYTES[dtype]);
      },
    ),
    { numRuns: 100 },
  );
});
