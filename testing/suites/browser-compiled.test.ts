import '@tensorflow/tfjs';
import { compileTrainingStep } from '../../packages/compiler/src/node.ts';
import { readGolden, TOLERANCE } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { energyWithGradient, REGRESSION, regressionLoss, values } from '../browser/src/functions.ts';
import type { CaptioningResult } from '../browser/src/main.ts';
import { CHROMIUM, ChromiumPage } from './chromium-page.ts';
import { expectClose, goldenCases, plainList, PNG_IMAGES, rowsOf, untilEnd } from './golden-cases.ts';

const NOTHING = { tensors: 0, gpuBytes: 0, weightBytes: 0 };

describe.skipIf(CHROMIUM === undefined)('compiled functions in Chromium', () => {
  let page: ChromiumPage;
  beforeAll(async () => {
    page = await ChromiumPage.open();
  });
  afterAll(() => page?.[Symbol.asyncDispose]());

  // Sums run in another order on the GPU. Fewer cases there: in software it takes seconds for each.
  describe.each([
    { provider: 'wasm', ids: ['greedy', 'greedy_prompt', 'beam5_lp1', 'beam5_return3'], tolerance: TOLERANCE.activations },
    { provider: 'webgpu', ids: ['greedy', 'beam5_lp1'], tolerance: 1e-3 },
  ] as const)('$provider', ({ provider, ids, tolerance }) => {
    beforeAll(async () => {
      await page.goto();
      await page.call('useBackend', provider);
    });

    it('computes a function and its gradient, for any size', async () => {
      const rows = [1, 4, 7];
      const results = await page.call('gradients', provider, rows);
      const weight = values([3, 2], 9);
      rows.forEach((count, index) => {
        const { value, gradient } = energyWithGradient({
          x: tf.tensor2d(values([count, 3], count).data, [count, 3]),
          weight: tf.tensor2d(weight.data, [3, 2]),
        });
        expect(results[index]!.value).toBeCloseTo(value.dataSync()[0]!, 4);
        expectClose(results[index]!.gradient, { shape: [3, 2], data: [...gradient.dataSync()] }, 1e-5);
      });
    });

    it('trains as ONNX Runtime does in Node', async () => {
      const { params, batch, specs, options } = REGRESSION;
      using step = await compileTrainingStep(regressionLoss, { params, batch: specs, ...options, cache: false });
      const expected: number[][] = [];
      for (let index = 0; index < 6; index++) {
        const { loss, gradientNorm, metrics } = await step.run(batch, { learningRate: 0.05 });
        expected.push([loss, gradientNorm, metrics['largest']!]);
      }
      const { reports, hidden } = await page.call('train', provider, 6);
      const found = reports.map(({ loss, gradientNorm, metrics }) => [loss, gradientNorm, metrics['largest']!]);
      expectClose(plainList(found.flat()), plainList(expected.flat()), 1e-4);
      expectClose(plainList(hidden), plainList([...(await step.state()).params.hidden.data]), 1e-4);
    });

    it.each([
      { dtype: 'int8', limit: 0.02 },
      { dtype: 'int4', limit: 0.15 },
    ] as const)('multiplies by weights in $dtype', async ({ dtype, limit }) => {
      const found = await page.call('product', provider, dtype);
      const x = tf.tensor2d(values([3, 256], 6).data, [3, 256]);
      const weight = tf.tensor2d(values([256, 256], 5).data, [256, 256]);
      const expected = tf.matMul(x, weight, false, true).dataSync();
      const squares = (numbers: Iterable<number>): number => [...numbers].reduce((sum, value) => sum + value ** 2, 0);
      const errors = expected.map((value, index) => value - found[index]!);
      expect(Math.sqrt(squares(errors) / squares(expected))).toBeLessThan(limit);
    });

    it.each([
      { model: 'blip2-opt', endTokenId: 84 },
      { model: 'blip2-flan-t5', endTokenId: 1 },
    ])('writes the golden tokens of $model and leaves nothing behind', async ({ model, endTokenId }) => {
      const golden = readGolden(`models/${model}`);
      const cases = goldenCases(golden.json, ids);
      const requests = cases.map(({ request }) => request);
      const result: CaptioningResult = await page.call('write', `/fixtures/${model}`, PNG_IMAGES, requests, provider);
      expectClose(result.visualPrompt, rowsOf(golden.get('language_projection'), PNG_IMAGES.length), tolerance);
      cases.forEach(({ rows, expectedScores }, index) => {
        const written = result.generations[index]!.flat();
        expect(written.map(({ tokenIds }) => tokenIds)).toEqual(untilEnd(rows, endTokenId));
        if (expectedScores === undefined) return;
        const found = written.map(({ score }) => score!);
        expectClose(plainList(found), plainList(expectedScores), Math.max(tolerance, TOLERANCE.scores));
      });
      expect([result.leaked, await page.call('leftovers', provider)]).toEqual([0, { ...NOTHING, tensors: expect.any(Number) }]);
    });

    it('matches with the golden scores', async () => {
      const golden = readGolden('models/blip2-itm');
      const { scores, leaked } = await page.call('match', '/fixtures/blip2-itm', PNG_IMAGES, golden.json.texts, provider);
      const pairs = PNG_IMAGES.length * (golden.json.texts.length as number);
      const probabilities = [...golden.get('itm.probabilities').data].filter((_, index) => index % 2 === 1).slice(0, pairs);
      const similarities = [...golden.get('itc.logits_per_image').data].slice(0, pairs);
      const limit = Math.max(tolerance, TOLERANCE.similarities);
      expectClose(plainList(scores.flat().map(({ itm }) => itm)), plainList(probabilities), limit);
      expectClose(plainList(scores.flat().map(({ itc }) => itc)), plainList(similarities), limit);
      expect(leaked).toBe(0);
    });

    it('says what was done wrong', async () => {
      const errors = await page.call('misuse', provider);
      expect(errors.map(({ code }) => code)).toEqual(['disposed', 'disposed', 'disposed', 'shape', 'disposed']);
      expect(errors[0]!.message).toMatchInlineSnapshot(
        `"A float32 tensor of shape [2] was disposed and cannot be used any more. Load it again, or dispose it later."`,
      );
    });
  });

  it('has threads in an isolated page', async () => {
    await page.goto({ isolated: true });
    expect(await page.call('threads', 2)).toEqual({ name: 'ONNX Runtime Web 1.30.0, wasm', values: [3, 5, 7] });
  });

  describe('one GPU for tfjs and ONNX Runtime', () => {
    beforeAll(async () => {
      await page.goto();
      await page.call('useBackend', 'webgpu');
    });

    it('passes tensors in both directions without a copy', async () => {
      const { values: found, downloads, copies, leftovers } = await page.call('exchange');
      expect({ downloads, copies }).toEqual({ downloads: 0, copies: 0 });
      const expected = [...values([64, 32], 1).data].map((value) => 2 * -(4 * value + 1) + 1);
      expectClose(plainList(found), plainList(expected), 1e-5);
      expect(leftovers).toEqual(NOTHING);
    });

    it('keeps buffers as long as either side needs them', async () => {
      expect(await page.call('lifetimes', 60)).toEqual({ wrong: [], leftovers: NOTHING });
    });

    it('gathers rows where they are', async () => {
      const { downloads, gathered } = await page.call('gatherOnGpu', [3, 0, 3, 1, 2]);
      const table = values([4, 8], 2).data;
      const expected = [3, 0, 3, 1, 2].flatMap((row) =>
        Array.from(table.subarray(8 * row, 8 * row + 8), (value) => 2 * value + 1),
      );
      expectClose(gathered, { shape: [5, 8], data: expected }, 1e-6);
      expect(downloads).toBe(0);
    });

    it('is that of tfjs where tfjs computes with WebGPU, else one of its own', async () => {
      expect(await page.call('devices')).toEqual({ shared: true, own: true, values: [3, 5, 7] });
    });
  });

  it('does not wait for ever after ONNX Runtime stopped', async () => {
    await page.goto();
    await page.call('useBackend', 'webgpu');
    const [first, second] = await page.call('trap'); // ONNX Runtime 1.30 divides by the length of the axis
    expect([first!.code, second!.code]).toEqual(['backend', 'backend']);
    expect(first!.message).toContain('divide by zero');
    expect(second!.message).toMatchInlineSnapshot(
      `"ONNX Runtime stopped at an earlier call in this page (divide by zero) and computes nothing any more. Reload the page; a function that does so again needs other inputs or the provider that did not stop."`,
    );
  });

  it('logged no error', () => {
    expect(page.problems).toEqual([]);
  });

  it('says what is missing', async () => {
    await page.goto({ secure: false }); // without WebGPU, without isolation
    const { noGpu, noPackage, noThreads, noFiles } = await page.call('failures');
    expect([noGpu!.code, noPackage!.code, noThreads!.code, noFiles!.code]).toEqual(['backend', 'backend', 'config', 'backend']);
    expect(noGpu!.message).toMatchInlineSnapshot(
      `"requestGpuDevice: this browser, or this insecure page, has no WebGPU, expected a GPU. Use another browser or serve the page over HTTPS, or choose the provider 'wasm'."`,
    );
    expect(noPackage!.message).toMatchInlineSnapshot(
      `"createWebRuntime: the package onnxruntime-web could not be loaded: Cannot find package 'onnxruntime-web'. The compiled engine needs it in browsers. Run: npm install onnxruntime-web"`,
    );
    expect(noThreads!.message).toMatchInlineSnapshot(
      `"createWebRuntime: threads is 4, but ONNX Runtime can have one here: they share memory, which browsers allow in pages that are isolated from other origins. Serve the page with the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, or leave threads out."`,
    );
    expect(noFiles!.message).toContain('/nowhere/ort-wasm-simd-threaded.mjs');
    expect(noFiles!.message).toContain('name their folder in wasmPaths');
  });
});
