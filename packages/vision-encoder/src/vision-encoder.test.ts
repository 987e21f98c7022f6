import {
  type EngineOptions,
  type PlacementOptions,
  type Progress,
  randomWeights,
  seededRandom,
  WeightBudget,
  type WeightSource,
} from '@blip2/core';
import { expectNoLeak } from '@blip2/testing';
import { eagerEngine } from '@blip2/testing/engine';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { createVisionEncoder, type LayerFeatures, loadVisionEncoder } from './vision-encoder.ts';
import { CLIP_VIT_L, EVA_VIT_G, type VisionTransformerConfig } from './vision-transformer-config.ts';
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

const places: [string, () => PlacementOptions & EngineOptions][] = [
  ['resident weights', () => ({ budget: new WeightBudget() })],
  ['streamed weights', () => ({ budget: new WeightBudget(0) })],
  ['half resident weights', () => ({ budget: new WeightBudget(3000) })],
  ['an engine', () => ({ engine: eagerEngine() })],
];

describe.each(places)('%s', (_, place) => {
  it('give the same features', async () => {
    const images = randomImages(2);
    using reference = await createVisionEncoder(weights, config);
    using encoder = await createVisionEncoder(weights, config, place());
    expect(await encoder.encode(images)).toBeAllclose(await reference.encode(images), 1e-7);
  });

  it('leave no tensors behind: on success, error, abort and disposal during work', async () => {
    const images = randomImages(1);
    const run = (use: (encoder: Awaited<ReturnType<typeof createVisionEncoder>>) => Promise<unknown>): Promise<void> =>
      expectNoLeak(async () => {
        using encoder = await createVisionEncoder(weights, config, place());
        await use(encoder);
      });
    await run(async (encoder) => {
      tf.dispose(await encoder.encode(images));
      const { features, layers } = await encoder.encode(images, { returnLayers: true });
      tf.dispose([features, ...layers]);
      const large = randomImages(1, 17, 22); // with pixels beyond the last whole patch
      tf.dispose([large, await encoder.encode(large, { interpolatePositions: true })]);
    });
    const small = randomImages(1, 8, 8);
    await expect(run((encoder) => encoder.encode(small))).rejects.toThrow('8×8');
    const abort = new AbortController();
    abort.abort();
    await expect(run((encoder) => encoder.encode(images, { abortSignal: abort.signal }))).rejects.toThrow(/abort/i);
    const later = new AbortController();
    const aborted = run((encoder) => {
      const running = encoder.encode(images, { abortSignal: later.signal, returnLayers: true });
      later.abort();
      return running;
    });
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError' });
    const disposed = run((encoder) => {
      const running = encoder.encode(images);
      encoder.dispose();
      return running;
    });
    await expect(disposed).rejects.toThrow('was disposed');
  });
});

it('leaves no tensors behind when weights cannot be read in the middle', async () => {
  const unreadable: WeightSource = {
    ...weights,
    get(name) {
      const weight = weights.get(name);
      if (weight === undefined || !name.includes('layers.2.mlp')) return weight;
      return { ...weight, read: () => Promise.reject(new Error('the disk is gone')) };
    },
  };
  const images = randomImages(1);
  const broken = expectNoLeak(async () => {
    using encoder = await createVisionEncoder(unreadable, config, { budget: new WeightBudget(0) });
    await encoder.encode(images, { returnLayers: true });
  });
  await expect(broken).rejects.toThrow('the disk is gone');
});

describe('createVisionEncoder', () => {
  it('reports loading in bytes: monotone, one total, complete at the end', async () => {
    const events: Progress[] = [];
    using encoder = await createVisionEncoder(weights, config, { onProgress: (event) => events.push(event) });
    expect(encoder.config).toBe(config);
    expect(events.length).toBe(4);
    const loaded = events.map(({ loadedBytes }) => loadedBytes);
    expect(loaded).toEqual(loaded.toSorted((a, b) => a - b));
    expect(new Set(events.map(({ totalBytes, phase, part }) => `${phase} ${part} ${totalBytes}`)).size).toBe(1);
    expect(events.at(-1)).toMatchObject({ phase: 'load', part: 'vision encoder', loadedBytes: events[0]!.totalBytes });
  });

  it('stops loading when asked, and gives its budget back', async () => {
    const budget = new WeightBudget(1e9);
    const abort = new AbortController();
    const load = expectNoLeak(() =>
      createVisionEncoder(weights, config, { budget, abortSignal: abort.signal, onProgress: () => abort.abort() }),
    );
    await expect(load).rejects.toMatchObject({ name: 'AbortError' });
    expect(budget.reservedBytes).toBe(0);
  });

  it('names weights that are missing, have other shapes or are left over', async () => {
    const without = (missing: string): WeightSource => ({
      ...weights,
      names: [...weights.names.filter((name) => name !== missing), 'vision_model.surprise', 'qformer.other_part'],
      get: (name) => (name === missing ? undefined : weights.get(name)),
    });
    const missing = createVisionEncoder(without('vision_model.encoder.layers.2.mlp.fc2.bias'), config);
    await expect(missing).rejects.toThrowErrorMatchingInlineSnapshot(
      `[WeightsError: random weights (seed 2): the vision encoder's weights do not fit its configuration — missing vision_model.encoder.layers.2.mlp.fc2.bias. not part of this model: vision_model.surprise. Check that config.json and the weights come from the same model.]`,
    );
    const otherSize = createVisionEncoder(weights, { ...config, imageSize: 16 });
    await expect(otherSize).rejects.toThrowErrorMatchingInlineSnapshot(
      `[WeightsError: random weights (seed 2): the vision encoder's weights do not fit its configuration — wrong shapes: vision_model.embeddings.position_embedding is [1, 10, 8], expected [1, 17, 8]. Check that config.json and the weights come from the same model.]`,
    );
    const shorter = createVisionEncoder(weights, { ...config, layers: 2, layersInCheckpoint: 2 });
    await expect(shorter).rejects.toThrow(/not part of this model: vision_model\.encoder\.layers\.2/);
  });

  it('leaves blocks that do not run unread', async () => {
    const clip: VisionTransformerConfig = { ...config, ...CLIP_NAMING, layers: 3 };
    const all = randomWeights((reader) => describeVisionTransformer(reader, clip));
    using encoder = await createVisionEncoder(all, { ...clip, layers: 2 });
    const { layers } = await encoder.encode(randomImages(1), { returnLayers: true });
    expect(layers).toHaveLength(3);
  });
});

const CLIP_NAMING = { naming: CLIP_VIT_L.naming, patchBias: false, preNorm: true };

describe('encode', () => {
  it('types what was asked for', async () => {
    using encoder = await createVisionEncoder(weights, config);
    const images = randomImages(1);
    expectTypeOf(await encoder.encode(images)).toEqualTypeOf<Tensor3D>();
    expectTypeOf(await encoder.encode(images, { interpolatePositions: true })).toEqualTypeOf<Tensor3D>();
    expectTypeOf(await encoder.encode(images, { returnLayers: true })).toEqualTypeOf<LayerFeatures>();
  });

  it.each(places.slice(2))('refuses images that do not fit, and says what to do: %s', async (_, place) => {
    using encoder = await createVisionEncoder(weights, config, place());
    const attempt = (images: tf.Tensor, interpolatePositions = false): Promise<Tensor3D> =>
      encoder.encode(images as Tensor4D, { interpolatePositions });
    await expect(attempt(randomImages(1, 16, 12))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: encode: images are 16×12 pixels, expected 12×12, the size this encoder was trained on. Resize them, or pass { interpolatePositions: true } to fit its positions to their size.]`,
    );
    await expect(attempt(randomImages(1, 3, 12), true)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: encode: images are 3×12 pixels, smaller than one patch of 4×4. Resize them to 12×12.]`,
    );
    await expect(attempt(tf.zeros([1, 3, 12, 12]))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: encode: images is [1, 3, 12, 12], expected [batch, imageHeight, imageWidth, 3]. Channels come last; pass a batch of RGB images.]`,
    );
    await expect(attempt(tf.zeros([1, 12, 12, 3], 'int32'))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: encode: images are int32, expected float32 numbers, normalised with the checkpoint's mean and standard deviation. Preprocess them first.]`,
    );
    await expect(attempt(tf.zeros([0, 12, 12, 3]))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: encode: images is an empty batch, expected at least one image. Leave the call out.]`,
    );
  });

  it.each(places.slice(2))(
    'interpolates positions for other sizes, and keeps the tables of a few grids: %s',
    async (_, place) => {
      using encoder = await createVisionEncoder(weights, config, place());
      for (const side of [16, 20, 24, 28, 32, 16]) {
        const features = await encoder.encode(randomImages(1, side, 12), { interpolatePositions: true });
        expect(features.shape).toEqual([1, 1 + (side / 4) * 3, 8]);
      }
      const images = randomImages(1);
      const same = await encoder.encode(images, { interpolatePositions: true });
      expect(same).toBeAllclose(await encoder.encode(images), 0);
    },
  );

  it('answers several calls at once', async () => {
    using encoder = await createVisionEncoder(weights, config, { budget: new WeightBudget(0) });
    const [a, b] = [randomImages(1), randomImages(2)];
    const [first, second] = await Promise.all([encoder.encode(a), encoder.encode(b)]);
    expect(first).toBeAllclose(await encoder.encode(a), 0);
    expect(second).toBeAllclose(await encoder.encode(b), 0);
  });

  it.each(places.slice(2))('is over after dispose, which may be called twice: %s', async (_, place) => {
    const encoder = await createVisionEncoder(weights, config, place());
    encoder.dispose();
    encoder.dispose();
    await expect(encoder.encode(randomImages(1))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DisposedError: vision encoder was disposed and cannot be used any more. Load it again, or dispose it later.]`,
    );
  });
});

describe('loadVisionEncoder', () => {
  it('reads config.json', async () => {
    const json = {
      model_type: 'blip-2',
      vision_config: {
        image_size: 12,
        patch_size: 4,
        hidden_size: 8,
        num_hidden_layers: 3,
        num_attention_heads: 2,
        intermediate_size: 12,
      },
    };
    const checkpoint = {
      name: 'toy',
      weights,
      readFile: async (name: string) => (name === 'config.json' ? new TextEncoder().encode(JSON.stringify(json)) : undefined),
      dispose: () => undefined,
    };
    using encoder = await loadVisionEncoder(checkpoint);
    expect(encoder.config).toEqual(config);
    await expect(loadVisionEncoder({ ...checkpoint, readFile: async () => undefined })).rejects.toThrow(
      'toy/config.json is missing',
    );
  });
});
