import { describe, expect, it } from 'vitest';
import { listSome, reshapeWeight, weightFromValues, WeightReader, type Weight, type WeightSource } from './weights.ts';

const ramp = (size: number): Float32Array => Float32Array.from({ length: size }, (_, index) => index);

function sourceOf(shapes: Record<string, number[]>): WeightSource {
  const weights = new Map(
    Object.entries(shapes).map(([name, shape]) => [name, weightFromValues(name, shape, ramp(shape.reduce((a, b) => a * b, 1)))]),
  );
  return { name: 'models/tiny', names: [...weights.keys()], get: (name) => weights.get(name) };
}

describe('weightFromValues', () => {
  it('reads a copy of its values', async () => {
    const values = ramp(6);
    const weight = weightFromValues('w', [2, 3], values);
    const read = await weight.read();
    read[0] = 99;
    expect(values[0]).toBe(0);
    expect(weight).toMatchObject({ name: 'w', dtype: 'F32', shape: [2, 3] });
    expect(weightFromValues('i', [1], new Int32Array(1)).dtype).toBe('I32');
  });

  it('gives rows of any rank', async () => {
    const rows = weightFromValues('w', [4, 3], ramp(12)).rows(1, 3);
    expect(rows.shape).toEqual([2, 3]);
    expect([...(await rows.read())]).toEqual([3, 4, 5, 6, 7, 8]);
    expect([...(await rows.rows(1, 2).read())]).toEqual([6, 7, 8]);
    const bias = weightFromValues('b', [4], ramp(4)).rows(2, 4);
    expect(bias.shape).toEqual([2]);
    expect([...(await bias.read())]).toEqual([2, 3]);
  });

  it('refuses values that do not fill the shape', () => {
    expect(() => weightFromValues('w', [2, 3], ramp(5))).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: weightFromValues: 'w' has 5 values, but the shape [2, 3] needs 6.]`,
    );
    expect(() => weightFromValues('w', [4, 3], ramp(12)).rows(3, 5)).toThrow(/needs 6/);
  });
});

describe('reshapeWeight', () => {
  /** A weight as a loader may make it: its members are on the class, not on the object. */
  class FileWeight implements Weight {
    readonly dtype = 'F16';
    readonly shape: readonly number[] = [4, 1, 2];
    get name(): string {
      return 'conv.weight';
    }
    get location(): { file: string; byteOffset: number; byteLength: number } {
      return { file: 'model.safetensors', byteOffset: 8, byteLength: 16 };
    }
    read(): Promise<Float32Array> {
      return Promise.resolve(ramp(8));
    }
    rows(): Weight {
      return this;
    }
  }

  it('changes the shape only', async () => {
    const weight = reshapeWeight(new FileWeight(), [4, 2]);
    expect(weight).toMatchObject({
      name: 'conv.weight',
      dtype: 'F16',
      shape: [4, 2],
      location: { file: 'model.safetensors', byteOffset: 8, byteLength: 16 },
    });
    expect([...(await weight.read())]).toEqual([...ramp(8)]);
  });

  it('refuses another size, and rows of the new shape', () => {
    expect(() => reshapeWeight(new FileWeight(), [3, 2])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: reshapeWeight: 'conv.weight' is [4, 1, 2] and cannot become [3, 2].]`,
    );
    expect(() => reshapeWeight(new FileWeight(), [4, 2]).rows(0, 2)).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: rows: 'conv.weight' was reshaped; take rows [0, 2) first.]`,
    );
  });
});

describe('WeightReader', () => {
  it('takes what fits and is content', async () => {
    const reader = new WeightReader(sourceOf({ 'a.weight': [2, 3], 'a.bias': [2], other: [1] }), 'vision encoder');
    expect((await reader.take('a.weight', [2, 3]).read()).length).toBe(6);
    expect(reader.take('a.bias', ['any']).shape).toEqual([2]);
    expect(reader.takeOptional('c', [1])).toBeUndefined();
    expect(reader.takeOptional('other', [1])?.name).toBe('other');
    expect([...reader.used]).toEqual(['a.weight', 'a.bias', 'other']);
    reader.finish(() => true);
  });

  it('collects every problem and reports them together', async () => {
    const source = sourceOf({ 'a.weight': [3, 2], 'a.bias': [2], 'a.scale': [2], 'b.weight': [1] });
    const reader = new WeightReader(source, 'Q-Former');
    const wrong = reader.take('a.weight', [2, 3]);
    expect(wrong.shape).toEqual([2, 3]);
    await expect(wrong.read()).rejects.toMatchObject({ code: 'checkpoint' });
    reader.take('a.bias', [2]);
    reader.take('a.absent', [4]).rows(0, 2);
    expect(() => reader.finish((name) => name.startsWith('a.'))).toThrowErrorMatchingInlineSnapshot(
      `[WeightsError: models/tiny: the Q-Former's weights do not fit its configuration — missing a.absent. wrong shapes: a.weight is [3, 2], expected [2, 3]. not part of this model: a.scale. Check that config.json and the weights come from the same model.]`,
    );
    expect(() => reader.finish((name) => name.startsWith('a.'))).toThrow(
      expect.objectContaining({ code: 'weights', missing: ['a.absent'], unexpected: ['a.scale'] }),
    );
  });

  it('leaves the names of other parts and the ignored ones alone', () => {
    const reader = new WeightReader(sourceOf({ 'a.weight': [1], 'a.position_ids': [1], 'b.weight': [1] }), 'part');
    reader.take('a.weight', [1]);
    reader.ignore((name) => name.endsWith('position_ids'));
    reader.finish((name) => name.startsWith('a.'));
    reader.finish();
  });

  it('refuses numbers that are not floating-point', () => {
    const ids = weightFromValues('ids', [2], new Int32Array(2));
    const reader = new WeightReader({ name: 'models/tiny', names: ['ids'], get: () => ids }, 'part');
    reader.take('ids', [2]);
    expect(() => reader.finish()).toThrowErrorMatchingInlineSnapshot(
      `[WeightsError: models/tiny: the part's weights do not fit its configuration — not floating-point numbers (F64, F32, F16, BF16): ids is I32. Check that config.json and the weights come from the same model.]`,
    );
  });
});

it('listSome names five and counts the rest', () => {
  expect(listSome(['a', 'b'])).toBe('a, b');
  expect(listSome(['a', 'b', 'c', 'd', 'e', 'f', 'g'], '; ')).toBe('a; b; c; d; e and 2 more');
});
