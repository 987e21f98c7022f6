import { openCheckpointFolder } from '@blip2/checkpoints/node';
import {
  type EngineOptions,
  type PlacementOptions,
  type Progress,
  type TokenBatch,
  WeightBudget,
  type WeightSource,
} from '@blip2/core';
import { expectNoLeak, fixturePath, readGolden } from '@blip2/testing';
import { eagerEngine } from '@blip2/testing/engine';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { RUNNERS, withFixture } from './__fixtures__/fixture-models.ts';
import type { LoadedQFormer } from './loaded-qformer.ts';
import { createQFormer, loadQFormer } from './qformer-model.ts';
import { qformerConfigFromJson } from './qformer-config.ts';

const golden = readGolden('models/blip2-itm');
const imageFeatures = (): Tensor3D => golden.tensor<tf.Rank.R3>('vision.hidden_states.3');
const text: TokenBatch = { ids: golden.json.input_ids.slice(0, 4), mask: golden.json.attention_mask.slice(0, 4) };

describe.each<[string, () => PlacementOptions & EngineOptions]>([
  ['streamed weights', () => ({ budget: new WeightBudget(0) })],
  ['half resident weights', () => ({ budget: new WeightBudget(150_000) })],
  ['an engine', () => ({ engine: eagerEngine() })],
])('%s', (_, place) => {
  it('give what resident weights give', async () => {
    const run = async (qformer: LoadedQFormer): Promise<tf.Tensor[]> => {
      const queries = await qformer.encodeQueries(imageFeatures());
      const words = await qformer.encodeText(text);
      return [
        queries,
        words,
        await qformer.encodeQueries(imageFeatures(), { text }),
        await qformer.match(imageFeatures(), text),
        await qformer.projectImage(queries),
        await qformer.projectText(words),
      ];
    };
    const results: tf.Tensor[][] = [];
    await withFixture('blip2-itm', async (qformer) => void results.push(await run(qformer)));
    await withFixture('blip2-itm', async (qformer) => void results.push(await run(qformer)), place());
    results[0]!.forEach((expected, index) => expect(results[1]![index]!).toBeAllclose(expected, 1e-7));
  });
});

describe.each<[string, () => PlacementOptions & EngineOptions]>([
  ['resident weights', () => ({ budget: new WeightBudget() })],
  ['streamed weights', () => ({ budget: new WeightBudget(0) })],
  ['an engine', () => ({ engine: eagerEngine() })],
])('no tensors are left behind, %s', (_, place) => {
  const run = async (use: (qformer: LoadedQFormer, features: Tensor3D) => Promise<unknown>): Promise<void> => {
    const features = imageFeatures();
    await expectNoLeak(() => withFixture('blip2-itm', async (qformer) => void (await use(qformer, features)), place()));
  };

  it('on success', () =>
    run(async (qformer, features) => {
      const queries = await qformer.encodeQueries(features);
      const traced = await qformer.encodeQueries(features, { text, returnLayers: true, returnAttention: true });
      const words = await qformer.encodeText(text, { returnLayers: true });
      tf.dispose([queries, traced.queries, ...traced.layers, ...traced.attention, words.text, ...words.layers]);
      tf.dispose(await qformer.match(features, text));
      const projected = tf.zeros([1, 2, 32]) as Tensor3D;
      tf.dispose([projected, await qformer.projectImage(projected), await qformer.projectText(projected)]);
      expect(await qformer.readTemperature()).toBeUndefined();
    }));

  it('on errors', async () => {
    const long = { ids: text.ids.map(() => Array<number>(41).fill(1)), mask: text.ids.map(() => Array<number>(41).fill(1)) };
    await expect(
      run((qformer, features) =>
        qformer.match(
          tf.tidy(() => tf.keep(features)),
          long,
        ),
      ),
    ).rejects.toThrow('41 tokens long');
    await expect(run((qformer) => qformer.encodeText(long))).rejects.toThrow('41 tokens long');
    await expect(run((qformer, features) => qformer.projectToPrompt(features))).rejects.toMatchObject({ code: 'shape' });
  });

  it('on abort, before and in the middle', async () => {
    const abort = new AbortController();
    abort.abort();
    const before = run((qformer, features) => qformer.encodeQueries(features, { abortSignal: abort.signal }));
    await expect(before).rejects.toMatchObject({ name: 'AbortError' });
    const later = new AbortController();
    const middle = run((qformer, features) => {
      const running = qformer.match(features, text, { abortSignal: later.signal });
      later.abort();
      return running;
    });
    await expect(middle).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('on disposal during work', async () => {
    const disposed = run((qformer, features) => {
      const running = qformer.encodeQueries(features, { text, returnLayers: true, returnAttention: true });
      qformer.dispose();
      return running;
    });
    await expect(disposed).rejects.toMatchObject({ code: 'disposed' });
  });
});

describe.each(RUNNERS)('%s', (_name, withModel) => {
  it('types what was asked for', () =>
    withModel('blip2-itm', async (qformer) => {
      const features = imageFeatures();
      expectTypeOf(await qformer.encodeQueries(features)).toEqualTypeOf<Tensor3D>();
      expectTypeOf(await qformer.encodeQueries(features, { text })).toEqualTypeOf<Tensor3D>();
      const traced = await qformer.encodeQueries(features, { returnAttention: true });
      expectTypeOf(traced.attention).toEqualTypeOf<readonly Tensor4D[]>();
      expectTypeOf(traced).not.toHaveProperty('layers');
      const both = await qformer.encodeQueries(features, { returnAttention: true, returnLayers: true });
      expectTypeOf(both.layers).toEqualTypeOf<readonly Tensor3D[]>();
      expectTypeOf(await qformer.match(features, text)).toEqualTypeOf<Tensor2D>();
      expect(Object.keys(traced)).toEqual(['queries', 'attention']);
      expect(traced.attention.map(({ shape }) => shape)).toEqual([
        [4, 4, 6, 10],
        [4, 4, 6, 10],
      ]);
    }));

  it('reads one image with many texts as it reads copies of it', () =>
    withModel('blip2-itm', async (qformer) => {
      const one = tf.slice(imageFeatures(), [2, 0, 0], [1, -1, -1]); // [1, tokens, width]
      const copies = tf.tile(one, [4, 1, 1]); // [4, tokens, width]
      expect(await qformer.match(one, text)).toBeAllclose(await qformer.match(copies, text), 1e-5);
      const options = { text, returnAttention: true, returnLayers: true } as const;
      const [actual, expected] = [await qformer.encodeQueries(one, options), await qformer.encodeQueries(copies, options)];
      expect(actual.queries).toBeAllclose(expected.queries, 1e-5);
      expected.attention.forEach((map, index) => expect(actual.attention[index]!).toBeAllclose(map, 1e-5));
      expected.layers.forEach((layer, index) => expect(actual.layers[index]!).toBeAllclose(layer, 1e-5));
    }));
});

describe.each(RUNNERS)('errors, %s', (_name, withModel) => {
  it('name both sides when features come from another encoder', () =>
    withModel('blip2-itm', async (qformer) => {
      await expect(qformer.encodeQueries(tf.zeros([2, 257, 1024]))).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ShapeError: encodeQueries: imageFeatures is [2, 257, 1024], expected [batch, tokens, 40]. Width 1024 is CLIP ViT-L/14; this Q-Former was trained on another encoder (40). Load the encoder of the same checkpoint, or a Q-Former for this encoder.]`,
      );
      await expect(qformer.match(tf.zeros([4, 257, 48]), text)).rejects.toThrow("Width 48 is none of BLIP-2's encoders");
      await expect(qformer.encodeQueries(tf.zeros([257, 40]) as unknown as Tensor3D)).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ShapeError: encodeQueries: imageFeatures is [257, 40], expected [batch, tokens, 40]. The features lack an axis; this Q-Former was trained on another encoder (40). Load the encoder of the same checkpoint, or a Q-Former for this encoder.]`,
      );
      await expect(qformer.encodeQueries(tf.zeros([0, 257, 40]))).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ShapeError: encodeQueries: imageFeatures is [0, 257, 40], expected at least one image and one token. Leave the call out.]`,
      );
    }));

  it('say which texts do not fit', () =>
    withModel('blip2-itm', async (qformer) => {
      const two = { ids: text.ids.slice(0, 2), mask: text.mask.slice(0, 2) };
      await expect(qformer.match(imageFeatures(), two)).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: match: 4 images and 2 texts, expected one text for each image, or one image for all texts. Repeat the features or the texts, so that they make pairs.]`,
      );
      const long = { ids: [Array<number>(41).fill(1)], mask: [Array<number>(41).fill(1)] };
      await expect(qformer.encodeText(long)).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: encodeText: text is 41 tokens long, expected at most 40, the Q-Former's positions. Shorten or truncate it.]`,
      );
    }));

  it('say which parts are missing, and where they are', () =>
    withModel('blip2-opt', async (qformer) => {
      const features = imageFeatures();
      const queries = await qformer.encodeQueries(features);
      await expect(qformer.encodeQueries(features, { text })).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ConfigError: encodeQueries: text was given, but this Q-Former has no text branch: captioning checkpoints leave it out. Load a matching or stage-1 checkpoint, such as Salesforce/blip2-itm-vit-g, or leave the text out.]`,
      );
      await expect(qformer.encodeText(text)).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ConfigError: encodeText: text was given, but this Q-Former has no text branch: captioning checkpoints leave it out. Load a matching or stage-1 checkpoint, such as Salesforce/blip2-itm-vit-g.]`,
      );
      await expect(qformer.match(features, text)).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ConfigError: match: this Q-Former has no matching head. Load a matching checkpoint, such as Salesforce/blip2-itm-vit-g.]`,
      );
      await expect(qformer.projectImage(queries)).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ConfigError: projectImage: this Q-Former has no contrastive projections. Load a matching checkpoint, such as Salesforce/blip2-itm-vit-g.]`,
      );
    }));

  it('come from projections, too', () =>
    withModel('blip2-itm', async (qformer) => {
      const queries = await qformer.encodeQueries(imageFeatures());
      await expect(qformer.projectToPrompt(queries)).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ConfigError: projectToPrompt: this Q-Former has no projection to a language model. Load a captioning checkpoint, such as Salesforce/blip2-opt-2.7b.]`,
      );
      await expect(qformer.projectText(tf.zeros([1, 2, 24]))).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ShapeError: projectText: text is [1, 2, 24], expected [batch, tokens, 32]. Pass the output of encodeText.]`,
      );
    }));

  it('end with dispose, which may be called twice', () =>
    withModel('blip2-itm', async (qformer) => {
      const queries = await qformer.encodeQueries(imageFeatures());
      qformer.dispose();
      qformer.dispose();
      await expect(qformer.encodeQueries(imageFeatures())).rejects.toThrowErrorMatchingInlineSnapshot(
        `[DisposedError: Q-Former was disposed and cannot be used any more. Load it again, or dispose it later.]`,
      );
      await expect(qformer.encodeText(text)).rejects.toMatchObject({ code: 'disposed' });
      await expect(qformer.projectImage(queries)).rejects.toMatchObject({ code: 'disposed' });
      await expect(qformer.readTemperature()).rejects.toMatchObject({ code: 'disposed' });
    }));
});

it('leaves no tensors behind when weights cannot be read in the middle of a pass', async () => {
  const checkpoint = await openCheckpointFolder(fixturePath('models/blip2-itm'));
  const json: unknown = JSON.parse(new TextDecoder().decode(await checkpoint.readFile('config.json')));
  const unreadable: WeightSource = {
    ...checkpoint.weights,
    get(name) {
      const weight = checkpoint.weights.get(name);
      if (weight === undefined || !name.startsWith('qformer.encoder.layer.3.')) return weight;
      return { ...weight, read: () => Promise.reject(new Error('the disk is gone')) };
    },
  };
  const features = imageFeatures();
  const broken = expectNoLeak(async () => {
    using qformer = await createQFormer(unreadable, qformerConfigFromJson(json), { budget: new WeightBudget(0) });
    await qformer.encodeQueries(features, { text, returnLayers: true, returnAttention: true });
  });
  await expect(broken).rejects.toThrow('the disk is gone');
  checkpoint.dispose();
});

describe('loading', () => {
  it('reports progress in bytes and can be stopped', async () => {
    const checkpoint = await openCheckpointFolder(fixturePath('models/blip2-itm'));
    const events: Progress[] = [];
    const qformer = await loadQFormer(checkpoint, { onProgress: (event) => events.push(event) });
    expect(events.at(-1)).toMatchObject({ phase: 'load', part: 'Q-Former', loadedBytes: events[0]!.totalBytes });
    expect(events.map(({ loadedBytes }) => loadedBytes)).toEqual(
      events.map(({ loadedBytes }) => loadedBytes).toSorted((a, b) => a - b),
    );
    qformer.dispose();

    const budget = new WeightBudget(1e9);
    const abort = new AbortController();
    const stopped = expectNoLeak(() =>
      loadQFormer(checkpoint, { budget, abortSignal: abort.signal, onProgress: () => abort.abort() }),
    );
    await expect(stopped).rejects.toMatchObject({ name: 'AbortError' });
    expect(budget.reservedBytes).toBe(0);
    checkpoint.dispose();
  });

  it('names the file of a configuration that does not fit', async () => {
    const checkpoint = await openCheckpointFolder(fixturePath('models/clip-vit-l-vision'));
    const refused = loadQFormer({ ...checkpoint, name: 'models/clip' });
    await expect(refused).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: models/clip/config.json: Q-Former config: model_type is "clip_vision_model", expected "blip-2". Pass the whole parsed config.json of a BLIP-2 model.]`,
    );
    checkpoint.dispose();
  });

  it('names weights that are missing or left over', async () => {
    const checkpoint = await openCheckpointFolder(fixturePath('models/blip2-itm'));
    const json: unknown = JSON.parse(new TextDecoder().decode(await checkpoint.readFile('config.json')));
    const config = qformerConfigFromJson(json);
    const renamed = (from: string, to: string): WeightSource => ({
      name: 'models/toy',
      names: checkpoint.weights.names.map((name) => (name === from ? to : name)),
      get: (name) => checkpoint.weights.get(name === to ? from : name === from ? '' : name),
    });
    const wrong = createQFormer(renamed('qformer.layernorm.weight', 'qformer.layernorm.gamma'), config);
    await expect(wrong).rejects.toThrowErrorMatchingInlineSnapshot(
      `[WeightsError: models/toy: the Q-Former's weights do not fit its configuration — missing qformer.layernorm.weight. not part of this model: qformer.layernorm.gamma. Check that config.json and the weights come from the same model.]`,
    );
    const withoutText = createQFormer(
      checkpoint.weights,
      qformerConfigFromJson({ ...(json as object), qformer_config: undefined }),
    );
    await expect(withoutText).rejects.toMatchObject({ code: 'weights' });
    checkpoint.dispose();
  });
});
