import { weightFromValues, type WeightSource } from '@blip2/core';
import { QFORMER_STAGE_1, type QFormerConfig } from '@blip2/qformer';
import { expect, it } from 'vitest';
import { initialQFormer } from './initial-qformer.ts';

const config: QFormerConfig = {
  ...QFORMER_STAGE_1,
  queries: 2,
  width: 4,
  layers: 2,
  heads: 2,
  feedForwardWidth: 8,
  imageFeatureWidth: 6,
  contrastiveWidth: 3,
  vocabSize: 10,
  maxPositions: 5,
};
const layer = 'qformer.encoder.layer.0';

const sourceOf = (weights: Record<string, number[]>): Pick<WeightSource, 'get'> => ({
  get: (name) => {
    const shape = weights[name];
    return shape && weightFromValues(name, shape, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(7));
  },
});

it('begins the layers of the queries as copies of those of the text, and the temperature at 0.07', async () => {
  const weights = initialQFormer(config, { seed: 3 });
  const read = async (name: string) => weights.get(name)!.read();
  expect(await read(`${layer}.intermediate_query.dense.weight`)).toEqual(await read(`${layer}.intermediate.dense.weight`));
  expect(await read(`${layer}.output_query.dense.weight`)).toEqual(await read(`${layer}.output.dense.weight`));
  expect(await read('temp')).toEqual(Float32Array.of(0.07));
  expect(await read('query_tokens')).not.toEqual(await initialQFormer(config, { seed: 4 }).get('query_tokens')!.read());
});

it('takes what BERT has, under either of its spellings, for the queries too', async () => {
  const bert = sourceOf({
    'bert.encoder.layer.0.attention.self.query.weight': [4, 4],
    'bert.encoder.layer.0.intermediate.dense.weight': [8, 4],
    'embeddings.LayerNorm.weight': [4],
    'bert.embeddings.word_embeddings.weight': [9, 4], // without [DEC]
    'cls.predictions.bias': [10],
  });
  const weights = initialQFormer(config, { from: bert });
  const first = async (name: string) => (await weights.get(name)!.read())[0];
  expect(await first(`${layer}.attention.attention.query.weight`)).toBe(7);
  expect(await first(`${layer}.intermediate.dense.weight`)).toBe(7);
  expect(await first(`${layer}.intermediate_query.dense.weight`)).toBe(7);
  expect(await first('qformer.layernorm.weight')).toBe(7);
  expect(await first('cls.predictions.bias')).toBe(7);
  const words = await weights.get('embeddings.word_embeddings.weight')!.read();
  expect(words.length).toBe(40);
  expect(words.slice(0, 36)).toEqual(new Float32Array(36).fill(7));
  expect(words.slice(36)).not.toContain(0);
  expect(words[36]).not.toBe(7);
  expect(weights.get(`${layer}.attention.attention.query.weight`)!.name).toBe(`${layer}.attention.attention.query.weight`);
});

it('goes on from an earlier stage and draws what is new', async () => {
  const stageOne = sourceOf({ query_tokens: [1, 2, 4], [`${layer}.intermediate_query.dense.weight`]: [8, 4] });
  const weights = initialQFormer({ ...config, promptWidth: 5 }, { from: stageOne });
  expect((await weights.get('query_tokens')!.read())[0]).toBe(7);
  expect((await weights.get(`${layer}.intermediate_query.dense.weight`)!.read())[0]).toBe(7);
  expect(weights.get('language_projection.weight')!.shape).toEqual([5, 4]);
});
