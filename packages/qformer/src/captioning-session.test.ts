import { type EngineOptions, type PlacementOptions, WeightBudget } from '@blip2/core';
import { expectNoLeak, readGolden } from '@blip2/testing';
import { eagerEngine } from '@blip2/testing/engine';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { RUNNERS, withFixture, withParams } from './__fixtures__/fixture-models.ts';
import { captionLogits } from './heads.ts';
import { runJointPass } from './passes.ts';
import { normalizeImage } from './qformer.ts';

const golden = readGolden('models/stage1');
const imageFeatures = (): Tensor3D => golden.tensor<tf.Rank.R3>('image_features');
const CAPTIONS = [
  [26, 203, 97],
  [191, 28, 74],
  [94, 45, 136],
  [26, 186, 189],
];

/** Next-token logits after each prefix, each computed from the start in one pass. */
async function fromScratch(captions: readonly (readonly number[])[]): Promise<Float32Array[]> {
  const steps: Float32Array[] = [];
  await withParams('stage1', (params, config) => {
    const image = normalizeImage(params.inputs, config, imageFeatures());
    for (let length = 1; length <= captions[0]!.length + 1; length++) {
      const ids = captions.map((caption) => [config.beginCaptionTokenId, ...caption.slice(0, length - 1)]);
      const text = { ids: tf.tensor2d(ids, [4, length], 'int32'), mask: tf.ones([4, length], 'int32') as Tensor2D };
      const { output } = runJointPass(params, config, image, text, 'multimodal-causal');
      const last = tf.slice(output, [0, config.queries + length - 1, 0], [-1, 1, -1]); // [batch, 1, width]
      steps.push(captionLogits(params.text!.captionHead!, config, last).dataSync<'float32'>());
    }
  });
  return steps;
}

describe.each<[string, () => PlacementOptions & EngineOptions]>([
  ['resident weights', () => ({ budget: new WeightBudget() })],
  ['streamed weights', () => ({ budget: new WeightBudget(0) })],
  ['an engine', () => ({ engine: eagerEngine() })],
])('%s', (_, place) => {
  it('token by token equals all at once', async () => {
    const expected = await fromScratch(CAPTIONS);
    await withFixture(
      'stage1',
      async (qformer) => {
        const session = await qformer.startCaptioning!(imageFeatures());
        expect(await session.start()).toBeAllclose(expected[0]!, 2e-5);
        for (const step of [0, 1, 2]) {
          expect(await session.step(CAPTIONS.map((caption) => caption[step]!))).toBeAllclose(expected[step + 1]!, 2e-5);
        }
        session.dispose();
      },
      place(),
    );
  });

  it('leaves no tensors behind, whether it ends, fails or is aborted', async () => {
    const features = imageFeatures();
    await withFixture(
      'stage1',
      async (qformer) => {
        const first = await qformer.startCaptioning!(features);
        tf.dispose(await first.start()); // what an engine prepares now stays
        first.dispose();
        await expectNoLeak(async () => {
          const session = await qformer.startCaptioning!(features);
          tf.dispose([await session.start(), await session.step([1, 2, 3, 4])]);
          session.reorder([0, 0, 2, 3, 1]);
          tf.dispose(await session.step([1, 2, 3, 4, 5]));
          const abort = new AbortController();
          const aborted = session.step([1, 2, 3, 4, 5], { abortSignal: abort.signal });
          abort.abort();
          await expect(aborted).rejects.toMatchObject({ name: 'AbortError' });
          tf.dispose(await session.step([1, 2, 3, 4, 5])); // an aborted step was no step
          const lost = session.step([1, 2, 3, 4, 5]);
          session.dispose();
          session.dispose();
          await expect(lost).rejects.toMatchObject({ code: 'disposed' });
          await expect(session.start()).rejects.toMatchObject({ code: 'disposed' });
        });
        const abort = new AbortController();
        abort.abort();
        const refused = expectNoLeak(() => qformer.startCaptioning!(features, { abortSignal: abort.signal }));
        await expect(refused).rejects.toMatchObject({ name: 'AbortError' });
      },
      place(),
    );
  });
});

describe.each(RUNNERS)('%s', (_name, withModel) => {
  it('reorders rows as beams move, and grows', () =>
    withModel('stage1', async (qformer) => {
      const plain = await qformer.startCaptioning!(imageFeatures());
      await plain.start();
      const expected = await plain.step([11, 12, 13, 14]); // [4, vocab]

      const session = await qformer.startCaptioning!(imageFeatures());
      await session.start();
      session.reorder([2, 2, 0]);
      expect(session.rows).toBe(3);
      expect(session.promptIds).toEqual([[320], [320], [320]]);
      const moved = await session.step([13, 13, 11]); // [3, vocab]
      expect(moved).toBeAllclose(tf.gather(expected, tf.tensor1d([2, 2, 0], 'int32')), 1e-6);

      const twice = await qformer.startCaptioning!(imageFeatures());
      await twice.start();
      twice.reorder([3, 2, 1, 0]);
      twice.reorder([1, 1, 3]); // rows of the rows: 2, 2, 0
      expect(await twice.step([13, 13, 11])).toBeAllclose(moved, 1e-6);
    }));

  it('says how it begins and ends', () =>
    withModel('stage1', async (qformer) => {
      const session = await qformer.startCaptioning!(imageFeatures());
      expect(session).toMatchObject({ endTokenIds: [7], padTokenId: 0, usableVocabSize: 321, maxNewTokens: 48, rows: 4 });
      const other = await qformer.startCaptioning!(imageFeatures(), { beginTokenId: 6, endTokenIds: [9] });
      expect(other).toMatchObject({ endTokenIds: [9], promptIds: [[6], [6], [6], [6]] });
    }));

  it('refuses steps that make no sense', () =>
    withModel('stage1', async (qformer) => {
      const session = await qformer.startCaptioning!(imageFeatures());
      await expect(session.step([1, 2, 3, 4])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: captioning: step() was called before start(). Call start() first.]`,
      );
      await session.start();
      await expect(session.start()).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: captioning: start() was called twice. Call step() to go on, or begin another session.]`,
      );
      await expect(session.step([1])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: captioning: 1 tokens for 4 rows, expected one a row. Call reorder() first to change the rows.]`,
      );
      await expect(session.step([1, 2, 3, 321])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: captioning: token id 321, expected whole numbers from 0 to 320. Use the Q-Former's own tokenizer.]`,
      );
      expect(() => session.reorder([0, 4])).toThrowErrorMatchingInlineSnapshot(
        `[InputError: captioning: reorder([0, 4]) of 4 rows, expected at least one number below 4. Pass old row numbers.]`,
      );
      for (let position = 1; position < 48; position++) tf.dispose(await session.step([1, 2, 3, 4]));
      await expect(session.step([1, 2, 3, 4])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: captioning: the caption is 48 tokens long and no positions are left. Set maxNewTokens to at most 48.]`,
      );
    }));
});

it('is not offered where the checkpoint has no caption head', () =>
  withFixture('blip2-itm', async (qformer) => expect(qformer.startCaptioning).toBeUndefined()));
