import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withLavisNames } from '@blip2/checkpoints';
import { openCheckpoint, writeWeights } from '@blip2/checkpoints/node';
import {
  DisposedError,
  type LanguageModel,
  type Progress,
  type VisionEncoder,
  type Weight,
  type WeightSource,
  weightFromValues,
} from '@blip2/core';
import { expectNoLeak, fixturePath } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, describe, expect, it } from 'vitest';
import {
  answer,
  type Blip2,
  caption,
  createBlip2,
  embedImages,
  embedTexts,
  ENGINES,
  loadBlip2,
  match,
  search,
  streamCaption,
} from './node.ts';
import { readImages } from './image-input.ts';

const OPT = fixturePath('models/blip2-opt');
const ITM = fixturePath('models/blip2-itm');
const NAMES = ['landscape.png', 'rgba.png', 'gray.png'];
const images = NAMES.map((name) => fixturePath('models/preprocessing/images', name));
const image = images[0]!;

describe.each(ENGINES)('a model used from Node code, %s', (engine) => {
  it('gives the same from bytes, pixels and paths', async () => {
    using model = await loadBlip2(ITM, { engine });
    const [pixels] = await readImages(model, image);
    const bytes = await import('node:fs/promises').then(({ readFile }) => readFile(image));
    const [fromPath, fromPixels, fromBytes] = await match(model, [image, pixels!, new Uint8Array(bytes)], 'tennis');
    expect(fromPixels).toEqual(fromPath);
    expect(fromBytes).toEqual(fromPath);
  });

  it('asks one image several questions', async () => {
    using model = await loadBlip2(OPT, { engine });
    const together = await answer(model, image, ['what is this?', 'is the man wearing a hat?']);
    const [second] = await answer(model, image, 'is the man wearing a hat?');
    expect(together.map(({ question }) => question)).toEqual(['what is this?', 'is the man wearing a hat?']);
    expect(together[1]!.tokenIds).toEqual(second!.tokenIds);
  });

  it('streams the greedy caption', async () => {
    using model = await loadBlip2(OPT, { engine });
    const [whole] = await caption(model, image, { beams: 1, maxNewTokens: 12 });
    let text = '';
    for await (const token of streamCaption(model, image, { maxNewTokens: 12 })) text += token.text;
    expect(text.trim()).toBe(whole!.text);
  });

  it('ranks as matching and cosine say, whether features are kept or computed again', async () => {
    using model = await loadBlip2(ITM, { engine });
    const kept = await search(model, images, 'a cat is sitting on a wooden table');
    const again = await search(model, images, 'a cat is sitting on a wooden table', { featureCacheBytes: 0 });
    expect(again).toEqual(kept);
    const [best, ...rest] = await search(model, images, 'a cat is sitting on a wooden table', { rerank: 1 });
    expect(best!.itmLogit).toBeDefined();
    expect(rest.every(({ score, itmLogit }) => itmLogit === undefined && score < -90)).toBe(true);
  });
});

describe.each(ENGINES)('checkpoints of other generations and layouts, %s', (engine) => {
  const scratch = mkdtempSync(join(tmpdir(), 'blip2-layouts-'));
  afterAll(() => rmSync(scratch, { recursive: true }));

  /** The fixture's small files, its configuration edited. */
  function copySmallFiles(name: string, edit: (config: Record<string, unknown>) => void): string {
    const folder = join(scratch, name);
    cpSync(OPT, folder, { recursive: true, filter: (path) => !/golden|safetensors/.test(path) });
    const config = JSON.parse(readFileSync(join(OPT, 'config.json'), 'utf8')) as Record<string, unknown>;
    edit(config);
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    return folder;
  }

  async function captionsOf(folder: string): Promise<string[]> {
    using model = await loadBlip2(folder, { engine });
    const captions = await caption(model, images, { prompt: 'a photo of' });
    return captions.map(({ text }) => text);
  }

  /** Key biases change no attention, and the original layout has none. */
  async function withoutKeyBiases(source: WeightSource): Promise<WeightSource> {
    const replaced = new Map<string, Weight>();
    for (const name of source.names.filter((candidate) => candidate.endsWith('qkv.bias'))) {
      const weight = source.get(name)!;
      const values = await weight.read();
      replaced.set(name, weightFromValues(name, weight.shape, values.fill(0, values.length / 3, (2 * values.length) / 3)));
    }
    return { name: source.name, names: source.names, get: (name) => replaced.get(name) ?? source.get(name) };
  }

  it('reads files from before the image token', async () => {
    const folder = copySmallFiles('before-image-token', (config) => delete config['image_token_index']);
    cpSync(join(OPT, 'model.safetensors'), join(folder, 'model.safetensors'));
    expect(await captionsOf(folder)).toEqual(await captionsOf(OPT));
  });

  it('reads the names of the original code, in shards', async () => {
    const folder = copySmallFiles('original-names', () => undefined);
    const checkpoint = await openCheckpoint(OPT);
    const renamed = withLavisNames(await withoutKeyBiases(checkpoint.weights), { languageModel: 'opt' });
    expect(renamed.names).toContain('Qformer.bert.embeddings.LayerNorm.weight');
    const files = await writeWeights(
      folder,
      renamed.names.map((name) => renamed.get(name)!),
      { maxShardBytes: 200_000 },
    );
    expect(files.length).toBeGreaterThan(2);
    checkpoint.dispose();
    expect(await captionsOf(folder)).toEqual(await captionsOf(OPT));
  });
});

describe('memory', () => {
  it.each<[string, string, (model: Blip2) => Promise<unknown>]>([
    ['caption', OPT, (model) => caption(model, images, { maxNewTokens: 4 })],
    ['answer', OPT, (model) => answer(model, image, 'why?', { maxNewTokens: 4 })],
    ['match', ITM, (model) => match(model, images, ['a', 'b'])],
    ['search', ITM, (model) => search(model, images, 'a')],
    ['embed', ITM, async (model) => tf.dispose([await embedImages(model, image), await embedTexts(model, 'a')])],
    [
      'a stream that is left early',
      OPT,
      async (model) => {
        for await (const token of streamCaption(model, image)) if (token.tokenId >= 0) break;
      },
    ],
  ])('%s leaves nothing behind, compiled, with weights resident or streamed', async (_, folder, work) => {
    for (const options of [{}, { engine: 'eager' }, { engine: 'eager', weightBudgetBytes: 0 }] as const) {
      await expectNoLeak(async () => {
        using model = await loadBlip2(folder, options);
        await expectNoLeak(() => work(model));
      });
    }
  });

  it('gives the same with weights resident and streamed', async () => {
    using resident = await loadBlip2(OPT, { engine: 'eager' });
    using streamed = await loadBlip2(OPT, { engine: 'eager', weightBudgetBytes: 100_000 });
    expect(await caption(streamed, images)).toEqual(await caption(resident, images));
  });

  it.each(ENGINES)('leaves nothing behind after an abort, while loading and while writing, %s', async (engine) => {
    const reason = new DOMException('enough', 'AbortError');
    await expectNoLeak(async () => {
      const controller = new AbortController();
      const onProgress = ({ loadedBytes, totalBytes }: Progress): void =>
        void (loadedBytes > totalBytes / 2 && controller.abort(reason));
      await expect(loadBlip2(OPT, { engine, abortSignal: controller.signal, onProgress })).rejects.toBe(reason);
    });
    using model = await loadBlip2(OPT, { engine });
    await expectNoLeak(async () => {
      await expect(caption(model, images, { abortSignal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      const controller = new AbortController();
      const writing = caption(model, images, { abortSignal: controller.signal });
      setTimeout(() => controller.abort(reason), 5);
      await expect(writing).rejects.toBe(reason);
    });
  });

  it.each(ENGINES)('refuses to work after dispose, which may come twice, %s', async (engine) => {
    const model = await loadBlip2(OPT, { engine });
    model.dispose();
    model.dispose();
    await expect(caption(model, image)).rejects.toThrow(DisposedError);
  });

  it.each(ENGINES)('reports progress that never falls, has one total and ends complete, %s', async (engine) => {
    const events: Progress[] = [];
    using model = await loadBlip2(OPT, { engine, onProgress: (event) => events.push(event) });
    expect(model.languageModel).toBeDefined();
    expect(new Set(events.map(({ totalBytes }) => totalBytes)).size).toBe(1);
    expect(events.map(({ loadedBytes }) => loadedBytes)).toEqual(
      events.map(({ loadedBytes }) => loadedBytes).toSorted((a, b) => a - b),
    );
    expect(events.at(-1)!.loadedBytes).toBe(events.at(-1)!.totalBytes);
    expect(new Set(events.map(({ part }) => part))).toEqual(new Set(['language model', 'Q-Former', 'vision encoder']));
  });
});

describe('parts of your own', () => {
  /** An encoder that the project knows nothing of: every token is the mean colour, repeated. */
  function meanColourEncoder(width: number): VisionEncoder & { disposed: boolean } {
    return {
      config: { imageSize: 42, patchSize: 42, width, layers: 0 },
      disposed: false,
      encode: async (pixels) =>
        tf.tidy(() => tf.tile(tf.reshape(tf.mean(pixels, [1, 2, 3]), [-1, 1, 1]), [1, 2, width]) as tf.Tensor3D),
      dispose() {
        this.disposed = true;
      },
      [Symbol.dispose]() {
        this.dispose();
      },
    };
  }

  it('runs with a user’s encoder, and leaves it to its owner', async () => {
    const visionEncoder = meanColourEncoder(40);
    const model = await loadBlip2(ITM, { parts: { visionEncoder } });
    const [scores] = await match(model, image, 'tennis');
    expect(scores![0]!.itm).toBeGreaterThan(0);
    model.dispose();
    expect(visionEncoder.disposed).toBe(false);
  });

  it('runs with a user’s language model, such as one behind HTTP', async () => {
    const seen: number[][] = [];
    const languageModel = {
      architecture: 'decoder-only',
      embeddingWidth: 48,
      async generate(prompt: tf.Tensor3D, texts: readonly string[]) {
        seen.push(prompt.shape);
        return texts.map((text) => [{ tokenIds: [1], text: `you said: ${text}` }]);
      },
      dispose() {},
      [Symbol.dispose]() {},
    } as unknown as LanguageModel;
    using model = await loadBlip2(OPT, { parts: { languageModel } });
    const [reply] = await answer(model, image, 'Why?');
    expect(reply!.text).toBe('you said: Question: why? Answer:');
    expect(seen).toEqual([[1, 6, 48]]);
  });

  it('refuses parts that do not fit, naming both sides and the cure', async () => {
    await expectNoLeak(async () => {
      const visionEncoder = meanColourEncoder(1024);
      await expect(loadBlip2(ITM, { parts: { visionEncoder } })).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ConfigError: The vision encoder gives features 1024 wide (ViT-L), but the Q-Former was trained on 40. Take the encoder that this Q-Former was trained with, or a Q-Former trained on features 1024 wide.]`,
      );
    });
    using opt = await loadBlip2(OPT);
    using t5 = await loadBlip2(fixturePath('models/blip2-flan-t5'));
    const parts = { ...opt, languageModel: t5.languageModel };
    expect(() => createBlip2(parts, { name: 'mixed' })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: The Q-Former's language projection is 48 wide, but the language model takes prompts 40 wide. Take the language model that the projection was trained with, or train a projection to 40.]`,
    );
  });

  it('loads parts alone', async () => {
    const { loadQFormer } = await import('@blip2/qformer');
    const checkpoint = await openCheckpoint(ITM);
    using qformer = await loadQFormer(checkpoint);
    expect(qformer.config.imageFeatureWidth).toBe(40);
    checkpoint.dispose();
  });
});
