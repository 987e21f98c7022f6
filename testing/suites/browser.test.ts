import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readGolden, TOLERANCE, type GoldenTensor } from '@blip2/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CaptioningResult, PageUnderTest, PlainTensor } from '../browser/src/main.ts';
import { CHROMIUM, ChromiumPage } from './chromium-page.ts';
import { channelsFirst, expectClose, goldenCases, plainList, PNG_IMAGES, rowsOf, untilEnd } from './golden-cases.ts';
import { ROOT, runOrThrow } from './workspace.ts';

let page: ChromiumPage;

function call<Name extends keyof PageUnderTest>(
  name: Name,
  ...args: Parameters<PageUnderTest[Name]>
): Promise<Awaited<ReturnType<PageUnderTest[Name]>>> {
  return page.call(name, ...args);
}

// Without a browser there is nothing to test. Where the run must be complete that is a failure.
it.skipIf(CHROMIUM === undefined && !process.env['CI'])('a Chromium is installed', () => {
  expect(CHROMIUM, 'install Chromium (Debian: apt-get install chromium) or name it in BLIP2_CHROMIUM').toBeDefined();
});

describe.skipIf(CHROMIUM === undefined)('in Chromium, bundled by Vite', () => {
  beforeAll(async () => {
    page = await ChromiumPage.open();
  });
  afterAll(() => page?.[Symbol.asyncDispose]());

  describe('decodeImage', () => {
    const golden = readGolden('models/preprocessing');
    const files = golden.json.images as Record<string, { file: string }>;
    const decoded = Object.keys(files).filter((name) => golden.names.includes(`${name}.rgb`));
    const [exact, lossy] = [decoded.filter((name) => !isJpeg(name)), decoded.filter(isJpeg)];
    function isJpeg(name: string): boolean {
      return files[name]!.file.endsWith('.jpg');
    }
    const urlOf = (name: string): string => `/fixtures/preprocessing/${files[name]!.file}`;

    it.each(exact)('gives the bytes of the reference for %s', async (name) => {
      const pixels = await call('decode', urlOf(name), { exifOrientation: 'ignore' });
      expectClose(pixels, golden.get(`${name}.rgb`), 0);
    });

    it.each(lossy)('is within two levels of the reference decoder for the JPEG %s', async (name) => {
      const pixels = await call('decode', urlOf(name), { exifOrientation: 'ignore' });
      expect(meanDifference(pixels, golden.get(`${name}.rgb`))).toBeLessThan(2);
    });

    it('turns a photo as its EXIF orientation says', async () => {
      const pixels = await call('decode', urlOf('exif_rotated'));
      expect(meanDifference(pixels, golden.get('exif_rotated.rgb_transposed'))).toBeLessThan(2);
    });
  });

  it('has a WebGPU adapter', async () => {
    expect(await call('adapter')).toBeDefined();
  });

  const CASES = ['greedy', 'greedy_prompt', 'beam5_lp1', 'greedy_repetition', 'beam5_return3'];

  // Sums run in another order on the GPU, hence 1e-3 there; fewer cases, because a GPU in software takes a minute for five.
  describe.each([
    {
      backend: 'wasm',
      ids: CASES,
      activations: TOLERANCE.activations,
      similarities: TOLERANCE.similarities,
      scores: TOLERANCE.scores,
    },
    { backend: 'webgpu', ids: CASES.slice(0, 3), activations: 1e-3, similarities: 1e-3, scores: 1e-3 },
  ])('tfjs $backend', ({ backend, ids, activations, similarities, scores }) => {
    beforeAll(async () => {
      await call('useBackend', backend);
    });

    describe.each([
      { model: 'blip2-opt', endTokenId: 84 },
      { model: 'blip2-flan-t5', endTokenId: 1 },
    ])('$model', ({ model, endTokenId }) => {
      const golden = readGolden(`models/${model}`);
      const cases = goldenCases(golden.json, ids);
      let result: CaptioningResult;
      beforeAll(async () => {
        result = await call(
          'write',
          `/fixtures/${model}`,
          PNG_IMAGES,
          cases.map(({ request }) => request),
        );
      });

      it('preprocesses and projects as the reference does', () => {
        const firstRows = (name: string): GoldenTensor => rowsOf(golden.get(name), PNG_IMAGES.length);
        expectClose(channelsFirst(result.pixelValues), firstRows('pixel_values'), TOLERANCE.pixels);
        expectClose(result.visualPrompt, firstRows('language_projection'), activations);
      });

      it.each(cases.map(({ id }, index) => ({ id, index })))('writes the golden tokens: $id', ({ index }) => {
        const { rows, expectedScores } = cases[index]!;
        const written = result.generations[index]!.flat();
        expect(written.map(({ tokenIds }) => tokenIds)).toEqual(untilEnd(rows, endTokenId));
        if (expectedScores !== undefined) {
          expectClose(plainList(written.map(({ score }) => score!)), plainList(expectedScores), scores);
        }
      });

      it('leaves no tensor behind', () => {
        expect(result.leaked).toBe(0);
      });
    });

    it('matches with the golden scores and leaves no tensor behind', async () => {
      const golden = readGolden('models/blip2-itm');
      const { scores: matches, leaked } = await call('match', '/fixtures/blip2-itm', PNG_IMAGES, golden.json.texts);
      const texts = golden.json.texts.length as number;
      const probabilities = [...golden.get('itm.probabilities').data].filter((_, index) => index % 2 === 1);
      const pairs = PNG_IMAGES.length * texts;
      expectClose(plainList(matches.flat().map(({ itm }) => itm)), plainList(probabilities.slice(0, pairs)), similarities);
      expectClose(
        plainList(matches.flat().map(({ itc }) => itc)),
        plainList([...golden.get('itc.logits_per_image').data].slice(0, pairs)),
        similarities,
      );
      expect(leaked).toBe(0);
    });
  });

  it('loads the model that comes along where none is named, and writes as in Node', async () => {
    const image = readFileSync(join(ROOT, 'demo/images/01.png'));
    const script = `import '@tensorflow/tfjs-backend-wasm';
      import * as tf from '@tensorflow/tfjs-core';
      import { caption, loadBlip2 } from 'blip2/node';
      await tf.setBackend('wasm');
      using model = await loadBlip2();
      console.log((await caption(model, '../../demo/images/01.png'))[0].text);`;
    const inNode = runOrThrow('node', ['--input-type=module', '--eval', script], { cwd: join(ROOT, 'packages/blip2') });
    await call('useBackend', 'wasm');
    const { text, leaked } = await call('writeByDefault', [...image]);
    expect(text).toBe(inNode.trim());
    expect(leaked).toBe(0);
  });

  it('reads checkpoints by parts, not whole', () => {
    expect(page.server.partialAnswers).toBeGreaterThan(10);
  });

  it('reports a folder that is not there, by the name of the error, and keeps nothing', async () => {
    const { name, code, message, leaked } = await call('failure', '/fixtures/no-such-model');
    expect({ name, code, leaked }).toEqual({ name: 'CheckpointError', code: 'checkpoint', leaked: 0 });
    expect(message).toContain('/fixtures/no-such-model');
  });

  it('logged no error', () => {
    expect(page.problems).toEqual([]);
  });
});

function meanDifference(actual: PlainTensor, expected: GoldenTensor): number {
  expect(actual.shape).toEqual(expected.shape);
  return actual.data.reduce((sum, value, index) => sum + Math.abs(value - expected.data[index]!), 0) / actual.data.length;
}
