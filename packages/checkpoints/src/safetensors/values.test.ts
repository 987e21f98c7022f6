import { CheckpointError, InputError, ShapeError } from '@blip2/core';
import { describe, expect, test } from 'vitest';
import { byteSourceFromBlob, byteSourceFromBytes, type ByteSource } from '../bytes/byte-source.ts';
import { encodeSafetensors } from './encode-safetensors.ts';
import { openSafetensors } from './open-safetensors.ts';
import { storedWeight } from './stored-weight.ts';
import { decodeValues, encodeValues } from './values.ts';

test('bytes at any alignment decode to the same values', () => {
  const values = {
    F64: [0.5, -2],
    F32: [0.5, -2],
    I64: [-3, 2 ** 31 - 1],
    I32: [-3, 7],
    I16: [-3, 7],
    F16: [0.5, -2],
    BF16: [0.5, -2],
  } as const;
  for (const [dtype, expected] of Object.entries(values) as [keyof typeof values, readonly number[]][]) {
    const bytes = encodeValues(expected, dtype, 'w');
    for (let shift = 0; shift < 8; shift++) {
      const memory = new Uint8Array(bytes.length + 8);
      memory.set(bytes, shift);
      const decoded = decodeValues(memory.subarray(shift, shift + bytes.length), dtype, { file: 'f', name: 'w' });
      expect(Array.from(decoded)).toEqual([...expected]);
    }
  }
});

test('a boolean is 0 or 1, whatever byte stands for true', () => {
  expect(decodeValues(Uint8Array.of(0, 1, 255), 'BOOL', { file: 'f', name: 'w' })).toEqual(Int32Array.of(0, 1, 1));
});

test('an I64 outside int32 is refused, its neighbours are read', () => {
  const context = { file: 'model.safetensors', name: 'ids' };
  const bytes = new Uint8Array(BigInt64Array.of(-(2n ** 31n), 2n ** 31n - 1n, 2n ** 31n).buffer);
  expect(decodeValues(bytes.subarray(0, 16), 'I64', context)).toEqual(Int32Array.of(-(2 ** 31), 2 ** 31 - 1));
  expect(() => decodeValues(bytes, 'I64', context)).toThrow(CheckpointError);
  expect(() => decodeValues(bytes, 'I64', context)).toThrowErrorMatchingInlineSnapshot(
    `[CheckpointError: model.safetensors: 'ids' has the I64 value 2147483648 at index 2, but blip2.js reads integers as int32 (−2147483648 to 2147483647). Store the tensor as F32, or leave it out of the checkpoint.]`,
  );
});

test('values that a format cannot hold are refused, not wrapped', () => {
  expect(() => encodeValues([0, 256], 'U8', 'mask')).toThrow(InputError);
  expect(() => encodeValues([0, 256], 'U8', 'mask')).toThrowErrorMatchingInlineSnapshot(
    `[InputError: encodeValues: 'mask' has 256 at index 1, but U8 holds whole numbers from 0 to 255. Choose another dtype, or round and clip the values first.]`,
  );
  expect(() => encodeValues([Number.NaN], 'I32', 'ids')).toThrow(InputError);
  expect(() => encodeValues([0.5], 'I16', 'ids')).toThrow(InputError);
  expect(() => encodeValues([2], 'BOOL', 'mask')).toThrow(InputError);
});

test('the encoder refuses shapes and names that readers would refuse', () => {
  expect(() => encodeSafetensors({ w: { shape: [2, 2], values: [1, 2, 3] } })).toThrow(ShapeError);
  expect(() => encodeSafetensors({ w: { shape: [2, 2], values: [1, 2, 3] } })).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: Storing tensors: 'w' has 3 values, but its shape [2, 2] needs 4. Pass all values, row-major, or correct the shape.]`,
  );
  expect(() => encodeSafetensors({ constructor: { shape: [], values: [1] } })).toThrow(InputError);
  expect(() => encodeSafetensors({ __metadata__: { shape: [], values: [1] } })).toThrowErrorMatchingInlineSnapshot(
    `[InputError: Storing tensors: the name '__metadata__' comes twice or is reserved. Give each tensor its own name.]`,
  );
});

describe.each(['with', 'without'])('a source %s reads into given memory', (kind) => {
  /** A source in memory that tells of each read. */
  function watched(bytes: Uint8Array, onRead: (length: number) => void): ByteSource {
    const memory = byteSourceFromBytes('f', bytes);
    return {
      ...memory,
      read(offset, length, options) {
        onRead(length);
        return memory.read(offset, length, options);
      },
      readInto:
        kind === 'without'
          ? undefined
          : (offset, target, options) => {
              onRead(target.length);
              return memory.readInto!(offset, target, options);
            },
    };
  }

  test.each(['F16', 'BF16', 'I16', 'I64', 'U8'] as const)(
    'a large %s weight is converted in pieces, and its parts are the same',
    async (dtype) => {
      const length = 2 * 1024 * 1024 + 1; // three pieces, the last one short
      const values = Int32Array.from({ length }, (_, index) => index % 251);
      const reads: number[] = [];
      const source = watched(encodeValues(values, dtype, 'w'), (count) => reads.push(count));
      const read = await storedWeight(source, 'w', dtype, [length], 0).read();
      expect(reads.length).toBe(3);
      expect(read.length).toBe(length);
      expect(read.findIndex((value, index) => value !== values[index])).toBe(-1);
    },
  );

  test('an abort between two pieces is heard', async () => {
    const controller = new AbortController();
    let reads = 0;
    const source = watched(new Uint8Array(8_000_000), () => {
      if (++reads === 2) controller.abort();
    });
    const reading = storedWeight(source, 'w', 'F16', [4_000_000], 0).read({ abortSignal: controller.signal });
    await expect(reading).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    expect(reads).toBe(2);
  });
});

test('rows outside a weight are refused', () => {
  const weight = storedWeight(byteSourceFromBytes('f', new Uint8Array(8)), 'w', 'F32', [2], 0);
  for (const [begin, end] of [
    [-1, 1],
    [0, 3],
    [2, 1],
    [0, 0.5],
  ] as const)
    expect(() => weight.rows(begin, end)).toThrow(ShapeError);
  expect(() => weight.rows(1, 3)).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: rows: 'w' is [2], 2 rows; rows [1, 3) are not part of it.]`,
  );
  const scalar = storedWeight(byteSourceFromBytes('f', new Uint8Array(4)), 's', 'F32', [], 0);
  expect(() => scalar.rows(0, 1)).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: rows: 's' is a scalar and has no rows; rows [0, 1) are not part of it.]`,
  );
});

test('a Blob is read by its slices', async () => {
  const bytes = encodeSafetensors({ w: { shape: [2], values: [1, 2], dtype: 'BF16' } });
  const file = await openSafetensors(byteSourceFromBlob(new File([bytes], 'picked.safetensors')));
  expect(file.name).toBe('picked.safetensors');
  expect(await file.get('w')!.read()).toEqual(Float32Array.of(1, 2));
});

test('a source that gives fewer bytes than it should is found out', async () => {
  const bytes = encodeSafetensors({ w: { shape: [4], values: [1, 2, 3, 4] } });
  let available = bytes;
  const shrinking = new Blob([bytes]);
  shrinking.slice = (begin, end) => new Blob([available]).slice(begin, end);
  const file = await openSafetensors(byteSourceFromBlob(shrinking, 'model.safetensors'));
  available = bytes.slice(0, -5);
  await expect(file.get('w')!.read()).rejects.toThrowErrorMatchingInlineSnapshot(
    `[CheckpointError: model.safetensors: found only 11 of the 16 bytes expected at offset 96. The file changed or was cut off while it was open; restore it and open it again.]`,
  );
});
