import { quantizeBlocks } from '@blip2/checkpoints';
import { type Progress, type Weight, type WeightDtype, weightFromValues } from '@blip2/core';
import { describe, expect, it } from 'vitest';
import { convertWeight } from './convert-weight.ts';
import { MemoryWeightStore } from './memory-weight-store.ts';
import type { WeightForm, WeightRequest } from './weight-store.ts';

/** A weight that counts its reads. The values have an exact form in every format. */
function counted(name: string, dtype: WeightDtype = 'F32', shape: readonly number[] = [4, 32]): Weight & { reads: number } {
  const length = shape.reduce((product, size) => product * size, 1);
  const values = Float32Array.from({ length }, (_, index) => ((index * 7) % 32) / 16 - 1);
  const weight = weightFromValues(name, shape, values);
  const counting = { ...weight, dtype, reads: 0 };
  counting.read = (options) => {
    counting.reads++;
    return weight.read(options);
  };
  return counting;
}

const FORMS: readonly WeightForm[] = [
  { kind: 'stored' },
  { kind: 'values' },
  { kind: 'blocks', bits: 8, blockSize: 16 },
  { kind: 'columns' },
];

const wish = (weight: Weight, form: WeightForm, name = weight.name): WeightRequest => ({
  names: form.kind === 'blocks' || form.kind === 'columns' ? [`${name}.codes`, `${name}.scales`] : [name],
  weight,
  form,
});

describe('MemoryWeightStore', () => {
  it.each(FORMS)('converts to $kind', async (form) => {
    const weight = counted('w');
    const store = new MemoryWeightStore();
    const parts = await store.place([wish(weight, form)]);
    const expected = await convertWeight(weight, form);
    expect(parts.map(({ type, shape, bytes }) => ({ type, shape, bytes }))).toEqual(expected);
    expect(parts.map(({ name }) => name)).toEqual(wish(weight, form).names);
  });

  it.each([
    { dtype: 'F16', type: 'float16' },
    { dtype: 'BF16', type: 'bfloat16' },
  ] as const)('leaves $dtype as it is where its rows are only picked', async ({ dtype, type }) => {
    const weight = counted('table', dtype, [2, 2]);
    const [stored] = await new MemoryWeightStore().place([wish(weight, { kind: 'stored' })]);
    expect([stored!.type, stored!.bytes!.length]).toEqual([type, 8]);
    const halves = new Uint16Array(stored!.bytes!.slice().buffer);
    expect([...halves]).toEqual(dtype === 'F16' ? [0xbc00, 0xb880, 0xb000, 0x3500] : [0xbf80, 0xbf10, 0xbe00, 0x3ea0]);
  });

  it('uses a matrix that is stored quantised as it is', async () => {
    const [rows, columns] = [2, 32];
    const values = Float32Array.from({ length: rows * columns }, (_, index) => Math.sin(index));
    const { codes, scales } = quantizeBlocks(values, { rows, columns, bits: 4, blockSize: 16, name: 'm' });
    const parts = {
      bits: 4,
      blockSize: 16,
      codes: { ...weightFromValues('codes', [rows, 2, 8], Int32Array.from(codes)), dtype: 'U8' },
      scales: weightFromValues('scales', [rows, 2], scales),
    } as const;
    const matrix: Weight = { ...counted('m', 'F32', [rows, columns]), quantized: parts };
    const [storedCodes, storedScales] = await new MemoryWeightStore().place([
      wish(matrix, { kind: 'blocks', bits: 4, blockSize: 16 }),
    ]);
    expect([storedCodes!.type, [...storedCodes!.bytes!]]).toEqual(['uint8', [...codes]]);
    expect([storedScales!.type, storedScales!.bytes]).toEqual(['float32', new Uint8Array(scales.buffer)]);
  });

  it('reads a weight once for all graphs that live, in each form', async () => {
    const weight = counted('w');
    const store = new MemoryWeightStore();
    const wishes = FORMS.slice(1).map((form) => wish(weight, form, form.kind));
    const [first, second] = await Promise.all([store.place(wishes), store.place(wishes)]);
    expect(weight.reads).toBe(3);
    expect(second.map(({ bytes }) => bytes)).toEqual(first.map(({ bytes }) => bytes));
    expect(second.every(({ bytes }, index) => bytes === first[index]!.bytes)).toBe(true);
    store.release(wishes);
    await store.place(wishes);
    expect(weight.reads).toBe(3);
    store.release(wishes);
    store.release(wishes);
    expect(store.keptBytes).toBe(0);
    await store.place(wishes);
    expect(weight.reads).toBe(6);
  });

  it('keeps no more than it may, what was used last', async () => {
    const [a, b] = [counted('a'), counted('b')];
    const store = new MemoryWeightStore({ maxKeptBytes: 600 }); // each has 512 bytes
    const [forA, forB] = [[wish(a, { kind: 'values' })], [wish(b, { kind: 'values' })]];
    for (const wishes of [forA, forB, forB, forA]) await store.place(wishes);
    expect([a.reads, b.reads, store.keptBytes]).toEqual([2, 1, 512]);
    for (const wishes of [forA, forB, forB, forA]) store.release(wishes);
    expect(store.keptBytes).toBe(0);
  });

  it('reports bytes up to the end', async () => {
    const events: Progress[] = [];
    const wishes = [wish(counted('a'), { kind: 'values' }), wish(counted('b'), { kind: 'columns' })];
    await new MemoryWeightStore().place(wishes, { onProgress: (event) => events.push(event) });
    const loaded = events.map(({ loadedBytes }) => loadedBytes);
    expect(loaded).toEqual(loaded.toSorted((x, y) => x - y));
    expect(new Set(events.map(({ totalBytes }) => totalBytes))).toEqual(new Set([512 + 128 + 16]));
    expect(events.at(-1)).toMatchObject({ loadedBytes: 656, totalBytes: 656 });
  });

  it('keeps nothing of a graph that could not have all its weights', async () => {
    const abort = new AbortController();
    const weight = counted('w');
    const broken: Weight = { ...counted('broken'), read: () => Promise.reject(new Error('the server is gone')) };
    const store = new MemoryWeightStore();
    await expect(store.place([wish(weight, { kind: 'values' }), wish(broken, { kind: 'values' })])).rejects.toThrow(
      'the server is gone',
    );
    const ending: Weight = { ...weight, read: (options) => (abort.abort(), weight.read(options)) };
    const wishes = [
      wish(ending, { kind: 'values' }),
      ...Array.from({ length: 9 }, () => wish({ ...weight }, { kind: 'values' })),
    ];
    await expect(store.place(wishes, { abortSignal: abort.signal })).rejects.toMatchObject({ name: 'AbortError' });
    expect(store.keptBytes).toBe(0);
    expect(await store.place([wish(weight, { kind: 'values' })])).toHaveLength(1);
  });

  it('refuses what cannot fit before it reads anything', async () => {
    const weight = counted('head.weight');
    const wishes = [wish(weight, { kind: 'values' }), wish(counted('w'), { kind: 'values' })];
    await expect(new MemoryWeightStore({ maxWeightBytes: 511 }).place(wishes)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ResourceError: The weight 'head.weight' has 512 bytes, expected at most 511, the largest that this GPU device takes. Use a smaller number format (dtype: 'int8' or 'int4'), a smaller model, or another provider.]`,
    );
    await expect(new MemoryWeightStore({ maxGraphBytes: 1000 }).place(wishes)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ResourceError: The weights of one function have 1024 bytes, expected less than 1000, all that WebAssembly can address. Use a smaller number format (dtype: 'int8' or 'int4'), a smaller model, or another provider.]`,
    );
    const huge: Weight = { ...weight, read: () => Promise.reject(new RangeError('Array buffer allocation failed')) };
    await expect(new MemoryWeightStore().place([wish(huge, { kind: 'values' })])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ResourceError: The weight 'head.weight' could not be read: memory ran out (Array buffer allocation failed). Close other pages, or use a smaller model.]`,
    );
    expect(weight.reads).toBe(0);
  });
});
