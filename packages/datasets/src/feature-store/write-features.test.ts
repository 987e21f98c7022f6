import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { InputError, ShapeError } from '@blip2/core';
import { imageProcessorOfSize, preprocess, type RgbImage } from '@blip2/image';
import { expectNoLeak } from '@blip2/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { createFeatureStore } from './create-feature-store.ts';
import { failure, featuresOf, naiveRead, SMALL, useFolders } from './feature-store-test-support.ts';
import { openFeatureStore } from './open-feature-store.ts';
import { imageEncoder, writeFeatures, type FeatureRecord, type WriteFeaturesProgress } from './write-features.ts';

const newFolder = useFolders();
const KEYS = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
let batches: string[][];

beforeEach(() => {
  batches = [];
});

/** The "pixels" of a record are its key; its features are made of it. */
async function encode(batch: readonly string[]): Promise<tf.Tensor3D> {
  batches.push([...batch]);
  return tf.tensor3d(
    batch.flatMap((key) => [...featuresOf(key, SMALL)]),
    [batch.length, 3, 4],
  );
}

function records(keys: readonly string[] = KEYS): FeatureRecord<string>[] {
  return keys.map((key) => ({ key, pixels: key }));
}

describe('writeFeatures', () => {
  it('encodes in batches and stores each row under its key', async () => {
    const folder = newFolder();
    await expectNoLeak(async () => {
      await using store = await createFeatureStore(folder, SMALL);
      expect(await writeFeatures(records(), encode, { store, batchSize: 3 })).toEqual({ written: 7, skipped: 0 });
    });
    expect(batches).toEqual([['a', 'b', 'c'], ['d', 'e', 'f'], ['g']]);
    using reader = await openFeatureStore(folder);
    expect(await reader.read(['g', 'a'])).toEqual(naiveRead(['g', 'a'], SMALL));
  });

  it('skips what is there, and does not get its pixels', async () => {
    await using store = await createFeatureStore(newFolder(), SMALL);
    await writeFeatures(records(['b', 'e']), encode, { store });
    const got: string[] = [];
    const lazy = [...KEYS, 'a'].map((key) => ({
      key,
      pixels: async () => {
        got.push(key);
        return key;
      },
    }));
    expect(await writeFeatures(lazy, encode, { store, batchSize: 4 })).toEqual({ written: 5, skipped: 3 });
    expect(got).toEqual(['a', 'c', 'd', 'f', 'g']);
    expect(batches.slice(1)).toEqual([['a', 'c', 'd', 'f'], ['g']]);
  });

  it('encodes a key once that comes again in the batch, in the next one or later', async () => {
    await using store = await createFeatureStore(newFolder(), SMALL);
    const twice = records(['a', 'a', 'b', 'a', 'c', 'd', 'b', 'e']);
    expect(await writeFeatures(twice, encode, { store, batchSize: 2 })).toEqual({ written: 5, skipped: 3 });
    expect(batches.flat()).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('reports progress that never falls, and the total where it is known', async () => {
    await using store = await createFeatureStore(newFolder(), SMALL);
    const events: WriteFeaturesProgress[] = [];
    await writeFeatures(records(), encode, { store, batchSize: 3, onProgress: (event) => void events.push(event) });
    expect(events).toEqual([
      { written: 3, skipped: 0, total: 7 },
      { written: 6, skipped: 0, total: 7 },
      { written: 7, skipped: 0, total: 7 },
    ]);
    events.length = 0;
    await writeFeatures(records().values(), encode, { store, onProgress: (event) => void events.push(event) });
    expect(events).toEqual([{ written: 0, skipped: 7, total: undefined }]);
  });

  it('stops between batches; what was appended stays, and a second call goes on', async () => {
    const folder = newFolder();
    const controller = new AbortController();
    const { signal: abortSignal } = controller;
    await expectNoLeak(async () => {
      await using store = await createFeatureStore(folder, SMALL);
      const onProgress = ({ written }: WriteFeaturesProgress): void => void (written >= 4 && controller.abort());
      const error = await failure(writeFeatures(records(), encode, { store, batchSize: 2, abortSignal, onProgress }));
      expect(error).toBe(abortSignal.reason);
      expect(store.size).toBe(4);
    });
    await using store = await createFeatureStore(folder, SMALL);
    expect(await writeFeatures(records(), encode, { store })).toEqual({ written: 3, skipped: 4 });
  });

  it('hands on errors of records, pixels and encoders, and leaks nothing', async () => {
    await using store = await createFeatureStore(newFolder(), SMALL);
    const broken = new Error('broken');
    let ended = false;
    async function* breaking(): AsyncGenerator<FeatureRecord<string>> {
      try {
        yield* records();
      } finally {
        ended = true;
      }
    }
    const throwBroken = (): never => {
      throw broken;
    };
    expect(await failure(writeFeatures(breaking(), throwBroken, { store, batchSize: 2 }))).toBe(broken);
    expect(ended).toBe(true);
    expect(await failure(writeFeatures([{ key: 'z', pixels: throwBroken }], encode, { store }))).toBe(broken);
    await expectNoLeak(async () => {
      const wrong = async (batch: readonly string[]): Promise<tf.Tensor3D> => tf.zeros([batch.length, 3, 5]);
      const error = await failure(writeFeatures(records(), wrong, { store, batchSize: 2 }));
      expect(error).toBeInstanceOf(ShapeError);
      expect(error.message).toMatchInlineSnapshot(
        `"writeFeatures: features is [2, 3, 5], expected [2, 3, 4]. Make the store with the tokens and the width of this encoder."`,
      );
    });
    await expect(writeFeatures(records(), encode, { store, batchSize: 0 })).rejects.toThrow(InputError);
    expect(store.size).toBe(0);
  });
});

it('imageEncoder preprocesses images for a vision encoder', async () => {
  const images: RgbImage[] = [3, 9].map((width) => ({
    width,
    height: 5,
    data: Uint8Array.from({ length: width * 15 }, (_, index) => (index * 7) % 256),
  }));
  const processor = imageProcessorOfSize(2);
  const encoder = { encode: async (pixels: tf.Tensor4D): Promise<tf.Tensor3D> => tf.reshape(pixels, [2, 4, 3]) };
  await expectNoLeak(async () => {
    const features = await imageEncoder(encoder, processor)(images, {});
    const expected = preprocess(images, processor);
    expect(features.dataSync()).toEqual(expected.dataSync());
    tf.dispose([features, expected]);
  });
});
