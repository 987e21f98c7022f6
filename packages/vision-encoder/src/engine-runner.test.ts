import { type Progress, randomWeights, seededRandom, type WeightSource } from '@blip2/core';
import { expectNoLeak } from '@blip2/testing';
import { onCpuBackend } from '@blip2/testing/backends';
import { eagerEngine } from '@blip2/testing/engine';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { createVisionEncoder } from './vision-encoder.ts';
import { EVA_VIT_G, type VisionTransformerConfig } from './vision-transformer-config.ts';
import { describeVisionTransformer } from './vision-transformer-weights.ts';

const config: VisionTransformerConfig = {
  ...EVA_VIT_G,
  imageSize: 12,
  patchSize: 4,
  width: 8,
  layers: 3,
  layersInCheckpoint: 3,
  heads: 2,
  feedForwardWidth: 12,
};
const weights: WeightSource = randomWeights((reader) => describeVisionTransformer(reader, config), {
  seed: 2,
  standardDeviation: 0.3,
});

function randomImages(batch: number, height = 12, width = 12): Tensor4D {
  const random = seededRandom(batch + 31 * height + width);
  const values = Float32Array.from({ length: batch * height * width * 3 }, () => 2 * random() - 1);
  return tf.tensor4d(values, [batch, height, width, 3]);
}

it('prepares one function at load and one when layers are first asked for, for images of every size', async () => {
  const engine = eagerEngine();
  const events: Progress[] = [];
  using encoder = await createVisionEncoder(weights, config, { engine, onProgress: (event) => events.push(event) });
  expect(engine.prepared).toEqual(['vision encoder']);
  expect(events.at(-1)).toMatchObject({ phase: 'load', part: 'vision encoder', loadedBytes: events[0]!.totalBytes });
  await encoder.encode(randomImages(1));
  await encoder.encode(randomImages(2, 18, 23), { interpolatePositions: true });
  expect(engine.prepared).toEqual(['vision encoder']);
  await encoder.encode(randomImages(2), { returnLayers: true });
  await encoder.encode(randomImages(1), { returnLayers: true });
  expect(engine.prepared).toEqual(['vision encoder', 'vision encoder']);
});

it('is given functions of the same structure for all sizes', () =>
  onCpuBackend(async () => {
    const engine = eagerEngine({ recordKernels: true });
    using encoder = await createVisionEncoder(weights, config, { engine });
    for (const [batch, height, width] of [
      [1, 12, 12],
      [3, 20, 28],
      [5, 4, 44],
    ] as const) {
      const images = randomImages(batch, height, width);
      await encoder.encode(images, { interpolatePositions: true });
      await encoder.encode(images, { interpolatePositions: true, returnLayers: true });
    }
    const [features, layers, ...others] = engine.runs.map(({ kernels }) => kernels);
    expect(features!.length).toBeGreaterThan(50);
    expect(others).toEqual([features, layers, features, layers]);
  }));

it('is named a function that describes itself', async () => {
  const engine = eagerEngine();
  const identities: unknown[] = [];
  const noting: typeof engine = {
    ...engine,
    prepare: (compute, options) => (identities.push(options.identity, options.quantize), engine.prepare(compute, options)),
  };
  using _ = await createVisionEncoder(weights, config, { engine: noting });
  expect(identities).toEqual([
    { package: '@blip2/vision-encoder', version: 1, name: 'features', config, layers: expect.any(Number) },
    'many-rows',
  ]);
  expect(JSON.parse(JSON.stringify(identities[0]))).toEqual(identities[0]);
});

it('leaves nothing behind when preparing fails or is stopped', async () => {
  const unreadable: WeightSource = {
    ...weights,
    get(name) {
      const weight = weights.get(name);
      if (weight === undefined || !name.includes('layers.2.mlp')) return weight;
      return { ...weight, read: () => Promise.reject(new Error('the disk is gone')) };
    },
  };
  const broken = expectNoLeak(() => createVisionEncoder(unreadable, config, { engine: eagerEngine() }));
  await expect(broken).rejects.toThrow('the disk is gone');
  const abort = new AbortController();
  const options = { engine: eagerEngine(), abortSignal: abort.signal, onProgress: () => abort.abort() };
  await expect(expectNoLeak(() => createVisionEncoder(weights, config, options))).rejects.toMatchObject({ name: 'AbortError' });
});
