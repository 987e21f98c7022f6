import { expect, it } from 'vitest';
import { countParameters } from './parameters.ts';
import { describeOnlyReader } from './describe-only.ts';
import { describeLayerNorm, describeLinear } from './layers/describe.ts';
import { randomWeights } from './random-weights.ts';
import { WeightReader, type WeightReader as Reader } from './weights.ts';

const describeModel = (reader: Reader) => {
  const fused = reader.take('attention.qkv.weight', [30, 10]);
  return {
    norm: describeLayerNorm(reader, 'norm', 10),
    query: fused.rows(0, 10),
    key: fused.rows(10, 20),
    head: describeLinear(reader, 'head', [10, 201]),
    extra: reader.takeOptional('extra', [7]),
  };
};

it('describes without a file: shapes and names, no values', async () => {
  const reader = describeOnlyReader('toy model');
  const tree = describeModel(reader);
  expect(countParameters(tree)).toBe(20 + 200 + 2211);
  expect(reader.taken.map(({ name, shape }) => `${name} [${shape.join(', ')}]`)).toEqual([
    'attention.qkv.weight [30, 10]',
    'norm.weight [10]',
    'norm.bias [10]',
    'head.weight [201, 10]',
    'head.bias [201]',
  ]);
  expect([...reader.used]).toHaveLength(5);
  reader.finish(() => true);
  await expect(tree.key.read()).rejects.toThrowErrorMatchingInlineSnapshot(
    `[CheckpointError: toy model: 'attention.qkv.weight' was described without a file and has no values. Load it from a checkpoint.]`,
  );
  expect(() => reader.take('table', ['any', 10])).toThrowErrorMatchingInlineSnapshot(
    `[ConfigError: toy model: the size of axis 0 of 'table' is in its file, not in the configuration, and there is no file. Describe this part from a checkpoint.]`,
  );
});

it('asks which optional weights there are', () => {
  const reader = describeOnlyReader('toy model', (name) => name === 'extra');
  expect(describeModel(reader).extra?.shape).toEqual([7]);
  expect(reader.has('other')).toBe(false);
});

it('draws weights that fit the model and depend on name and seed alone', async () => {
  const weights = randomWeights(describeModel, { seed: 3 });
  const reader = new WeightReader(weights, 'toy model');
  const tree = describeModel(reader);
  reader.finish(() => true);
  expect(weights.names).toHaveLength(5);

  const head = (await tree.head.weight.read()) as Float32Array;
  const again = await randomWeights(describeModel, { seed: 3 }).get('head.weight')!.read();
  expect(again).toEqual(head);
  expect(await randomWeights(describeModel, { seed: 4 }).get('head.weight')!.read()).not.toEqual(head);

  const mean = head.reduce((sum, value) => sum + value, 0) / head.length;
  const deviation = Math.sqrt(head.reduce((sum, value) => sum + (value - mean) ** 2, 0) / head.length);
  expect(Math.abs(mean)).toBeLessThan(0.02 * 4 * head.length ** -0.5);
  expect(deviation).toBeCloseTo(0.02, 3);

  const fused = await weights.get('attention.qkv.weight')!.read();
  expect(await tree.key.read()).toEqual(fused.slice(100, 200));
  expect(await tree.norm.weight.read()).toEqual(new Float32Array(10).fill(1));
  expect(await tree.head.bias!.read()).toEqual(new Float32Array(201));
});
