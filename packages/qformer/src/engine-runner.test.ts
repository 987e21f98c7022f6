import { randomWeights, type TokenBatch, type WeightSource } from '@blip2/core';
import { expectNoLeak, spread } from '@blip2/testing';
import { onCpuBackend } from '@blip2/testing/backends';
import { type EagerEngine, eagerEngine } from '@blip2/testing/engine';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor3D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import type { LoadedQFormer } from './loaded-qformer.ts';
import { createQFormer } from './qformer-model.ts';
import { QFORMER_MATCHING, QFORMER_STAGE_1, QFORMER_STAGE_2, type QFormerConfig } from './qformer-config.ts';
import { describeQFormer } from './qformer-weights.ts';

const SMALL = {
  queries: 3,
  width: 8,
  layers: 3,
  heads: 2,
  feedForwardWidth: 12,
  imageFeatureWidth: 10,
  vocabSize: 40,
  maxPositions: 16,
};
const stage1: QFormerConfig = {
  ...QFORMER_STAGE_1,
  ...SMALL,
  contrastiveWidth: 4,
  beginCaptionTokenId: 39,
  endCaptionTokenId: 1,
};

function weightsFor(config: QFormerConfig): WeightSource {
  return randomWeights((reader) => describeQFormer(reader, config), { seed: 3, standardDeviation: 0.3 });
}

function features(images: number, tokens: number): Tensor3D {
  return spread<tf.Rank.R3>([images, tokens, SMALL.imageFeatureWidth], images + tokens);
}

function texts(batch: number, tokens: number): TokenBatch {
  const table = (value: (row: number, place: number) => number): number[][] =>
    Array.from({ length: batch }, (_row, row) => Array.from({ length: tokens }, (_place, place) => value(row, place)));
  return {
    ids: table((row, place) => (7 * row + place) % SMALL.vocabSize),
    mask: table((row, place) => (place < Math.max(1, tokens - row) ? 1 : 0)),
  };
}

/** Everything that a Q-Former of stage 1 can do, with a batch of some size. */
async function doAll(qformer: LoadedQFormer, batch: number, imageTokens: number, tokens: number): Promise<void> {
  const images = features(batch, imageTokens);
  const text = texts(batch, tokens);
  const everything = { returnLayers: true, returnAttention: true } as const;
  const queries = await qformer.encodeQueries(images);
  await qformer.encodeQueries(images, everything);
  await qformer.encodeQueries(images, { text });
  await qformer.encodeQueries(images, { ...everything, text });
  const words = await qformer.encodeText(text);
  await qformer.encodeText(text, { returnLayers: true });
  await qformer.match(images, text);
  await qformer.match(features(1, imageTokens), texts(batch + 1, tokens));
  await qformer.encodeQueries(features(1, imageTokens), { ...everything, text: texts(batch + 1, tokens) });
  await qformer.projectImage(queries);
  await qformer.projectText(words);
  const session = await qformer.startCaptioning!(images);
  await session.start();
  for (const id of [2, 3]) await session.step(Array<number>(batch).fill(id));
}

describe('functions for an engine', () => {
  it('have the same structure for all sizes', () =>
    onCpuBackend(async () => {
      const engine = eagerEngine({ recordKernels: true });
      using qformer = await createQFormer(weightsFor(stage1), stage1, { engine });
      await doAll(qformer, 1, 5, 2);
      await doAll(qformer, 2, 11, 7);
      await doAll(qformer, 3, 1, 1);
      const byName = Map.groupBy(engine.runs, ({ name }) => name);
      expect(byName.size).toBe(13);
      for (const [name, runs] of byName) {
        expect(runs.length, name).toBeGreaterThan(2);
        expect(runs[0]!.kernels.length, name).toBeGreaterThan(1);
        for (const { kernels } of runs) expect(kernels, name).toEqual(runs[0]!.kernels);
      }
    }));

  it('are prepared at load where every user of the checkpoint needs them, otherwise at first use, once', async () => {
    const prepared = async (config: QFormerConfig, use: (qformer: LoadedQFormer, engine: EagerEngine) => Promise<void>) => {
      const engine = eagerEngine();
      using qformer = await createQFormer(weightsFor(config), config, { engine });
      await use(qformer, engine);
    };
    await prepared({ ...QFORMER_STAGE_2, ...SMALL, promptWidth: 6 }, async (_, engine) => {
      expect(engine.prepared).toMatchInlineSnapshot(`
        [
          "Q-Former, image",
          "Q-Former, projection to a prompt",
        ]
      `);
    });
    await prepared({ ...QFORMER_MATCHING, ...SMALL, contrastiveWidth: 4 }, async (_, engine) => {
      expect(engine.prepared).toMatchInlineSnapshot(`
        [
          "Q-Former, image",
          "Q-Former, matching of image and text",
        ]
      `);
    });
    await prepared(stage1, async (qformer, engine) => {
      const atLoad = engine.prepared.length;
      await doAll(qformer, 2, 3, 4);
      await doAll(qformer, 1, 4, 3);
      expect(engine.prepared.slice(atLoad)).toMatchInlineSnapshot(`
        [
          "Q-Former, image, with layers, with attention",
          "Q-Former, image and text",
          "Q-Former, image and text, with layers, with attention",
          "Q-Former, text",
          "Q-Former, text, with layers",
          "Q-Former, matching of one image and many texts",
          "Q-Former, one image and many texts, with layers, with attention",
          "Q-Former, image projection",
          "Q-Former, text projection",
          "Q-Former, beginning of captions",
          "Q-Former, step of captions",
        ]
      `);
    });
  });

  it('describe themselves, and are never quantised', async () => {
    const engine = eagerEngine();
    const seen: unknown[] = [];
    const noting: EagerEngine = {
      ...engine,
      prepare: (compute, options) => {
        seen.push({ identity: options.identity, quantize: options.quantize });
        return engine.prepare(compute, options);
      },
    };
    using qformer = await createQFormer(weightsFor(stage1), stage1, { engine: noting });
    await doAll(qformer, 2, 3, 4);
    expect(new Set(seen.map((one) => JSON.stringify(one))).size).toBe(seen.length);
    expect(seen[0]).toEqual({
      identity: { package: '@blip2/qformer', version: 2, name: 'image', config: stage1, layers: expect.any(Number) },
      quantize: 'never',
    });
  });

  it('take only the weights they use', async () => {
    const read = new Set<string>();
    const source = weightsFor(stage1);
    const noting: WeightSource = {
      ...source,
      get(name) {
        const weight = source.get(name);
        if (weight === undefined) return undefined;
        return { ...weight, read: (options) => (read.add(name), weight.read(options)) };
      },
    };
    using _ = await createQFormer(noting, stage1, { engine: eagerEngine() });
    expect([...read].filter((name) => name.startsWith('cls.') || name === 'temp')).toEqual([]);
  });
});

describe('leave no tensors behind', () => {
  it('when they cannot be prepared, or preparing is stopped', async () => {
    const source = weightsFor(stage1);
    const unreadable: WeightSource = {
      ...source,
      get(name) {
        const weight = source.get(name);
        if (weight === undefined || !name.startsWith('itm_head')) return weight;
        return { ...weight, read: () => Promise.reject(new Error('the disk is gone')) };
      },
    };
    const broken = expectNoLeak(() => createQFormer(unreadable, stage1, { engine: eagerEngine() }));
    await expect(broken).rejects.toThrow('the disk is gone');
    const abort = new AbortController();
    const options = { engine: eagerEngine(), abortSignal: abort.signal, onProgress: () => abort.abort() };
    await expect(expectNoLeak(() => createQFormer(source, stage1, options))).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('when rows of captions cannot be gathered; the step may be tried again', () =>
    expectNoLeak(async () => {
      const engine = eagerEngine();
      let fails = false;
      let calls = 0;
      const failing: EagerEngine = {
        ...engine,
        gatherRows: (tensor, rows) =>
          fails && ++calls > 3 ? Promise.reject(new Error('no memory')) : engine.gatherRows(tensor, rows),
      };
      using qformer = await createQFormer(weightsFor(stage1), stage1, { engine: failing });
      const images = features(2, 3);
      const session = await qformer.startCaptioning!(images);
      const other = await qformer.startCaptioning!(images);
      tf.dispose([await session.start(), await other.start()]);
      session.reorder([1, 1, 0]);
      other.reorder([1, 1, 0]);
      fails = true;
      await expect(session.step([2, 3, 4])).rejects.toThrow('no memory');
      fails = false;
      const [again, expected] = [await session.step([2, 3, 4]), await other.step([2, 3, 4])]; // [3, vocab]
      expect(again).toBeAllclose(expected, 0);
      session.dispose();
      other.dispose();
      tf.dispose([images, again, expected]);
    }));
});

it('reports loading in bytes, complete at the end', async () => {
  const events: [number, number][] = [];
  using _ = await createQFormer(weightsFor(stage1), stage1, {
    engine: eagerEngine(),
    onProgress: ({ loadedBytes, totalBytes }) => events.push([loadedBytes, totalBytes]),
  });
  const loaded = events.map(([bytes]) => bytes);
  expect(loaded).toEqual(loaded.toSorted((a, b) => a - b));
  expect(new Set(events.map(([, total]) => total)).size).toBe(1);
  expect(loaded.at(-1)).toBe(events[0]![1]);
});
