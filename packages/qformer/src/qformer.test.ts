import { readGolden, expectNoLeak } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor3D } from '@tensorflow/tfjs-core';
import { assert, asyncProperty, integer, shuffledSubarray } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withParams } from './__fixtures__/fixture-models.ts';
import { runCaptionPass, runJointPass, runQueryPass, runTextPass, type TextTensors } from './passes.ts';
import { normalizeImage, qformerLayer, type QFormerParams, sliceRows } from './qformer.ts';
import type { QFormerConfig } from './qformer-config.ts';

const golden = readGolden('models/stage1');
const EXACT = 1e-5;

/** The stage-1 fixture with its images and texts. */
function withStage1(
  use: (params: QFormerParams, config: QFormerConfig, image: Tensor3D, text: TextTensors) => void | Promise<void>,
): Promise<void> {
  return withParams('stage1', async (params, config) => {
    const image = normalizeImage(params.inputs, config, golden.tensor<tf.Rank.R3>('image_features'));
    await use(params, config, image, { ids: golden.tensor('input_ids'), mask: golden.tensor('attention_mask') });
  });
}

/** Rows of real words alone, one after another. */
function realRows(x: Tensor3D, { mask }: TextTensors): tf.Tensor {
  return tf.mul(x, tf.expandDims(tf.cast(mask, 'float32'), 2));
}

describe('what each kind of row may know', () => {
  it('queries alone are the query rows of the captioning pass: they do not see the text', () =>
    withStage1((params, config, image, text) => {
      const joint = runJointPass(params, config, image, text, 'multimodal-causal').output;
      const alone = runQueryPass(params, config, image).output;
      expect(sliceRows(joint, 0, config.queries)).toBeAllclose(alone, EXACT);
    }));

  it('queries and text alone are the rows of the unimodal pass', () =>
    withStage1((params, config, image, text) => {
      const joint = runJointPass(params, config, image, text, 'unimodal').output;
      const words = sliceRows(joint, config.queries, text.ids.shape[1]);
      expect(sliceRows(joint, 0, config.queries)).toBeAllclose(runQueryPass(params, config, image).output, EXACT);
      expect(realRows(words, text)).toBeAllclose(realRows(runTextPass(params, config, text).output, text), EXACT);
    }));

  it('the three masks give three different results', () =>
    withStage1((params, config, image, text) => {
      const [first, second, third] = (['unimodal', 'bidirectional', 'multimodal-causal'] as const).map((pattern) =>
        realRows(sliceRows(runJointPass(params, config, image, text, pattern).output, config.queries, text.ids.shape[1]), text),
      ) as [tf.Tensor, tf.Tensor, tf.Tensor];
      const distance = (a: tf.Tensor, b: tf.Tensor): number => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;
      expect(Math.min(distance(first, second), distance(second, third), distance(first, third))).toBeGreaterThan(0.05);
    }));

  it('captioning after cached queries equals one pass over all rows', () =>
    withStage1((params, config, image, text) => {
      const { keyValues } = runQueryPass(params, config, image);
      const cached = runCaptionPass(params, config, keyValues, text).output;
      const joint = runJointPass(params, config, image, text, 'multimodal-causal').output;
      const words = sliceRows(joint, config.queries, text.ids.shape[1]);
      expect(realRows(cached, text)).toBeAllclose(realRows(words, text), EXACT);
    }));

  it('a caption does not know its future: shorter texts give the same rows', () =>
    withStage1((params, config, image, text) => {
      const { keyValues } = runQueryPass(params, config, image);
      const whole = runCaptionPass(params, config, keyValues, text).output;
      const cut = { ids: tf.slice(text.ids, [0, 0], [-1, 5]), mask: tf.slice(text.mask, [0, 0], [-1, 5]) };
      expect(runCaptionPass(params, config, keyValues, cut).output).toBeAllclose(sliceRows(whole, 0, 5), EXACT);
    }));
});

describe('properties', () => {
  it('a permuted batch gives permuted outputs', () =>
    withStage1(async (params, config, image, text) => {
      const { output } = runJointPass(params, config, image, text, 'bidirectional');
      await assert(
        asyncProperty(shuffledSubarray([0, 1, 2, 3], { minLength: 4 }), async (order) => {
          const index = tf.tensor1d(order, 'int32');
          const shuffled = { ids: tf.gather(text.ids, index), mask: tf.gather(text.mask, index) };
          const permuted = runJointPass(params, config, tf.gather(image, index), shuffled, 'bidirectional').output;
          expect(permuted).toBeAllclose(tf.gather(output, index), EXACT);
        }),
        { numRuns: 5 },
      );
    }));

  it('padding changes nothing, however much of it and whatever its ids', () =>
    withStage1(async (params, config, image, text) => {
      const { output } = runJointPass(params, config, image, text, 'bidirectional');
      const words = runTextPass(params, config, text).output;
      await assert(
        asyncProperty(integer({ min: 1, max: 20 }), integer({ min: 0, max: 320 }), async (more, id) => {
          const filler = tf.tensor2d(Array<number>(4 * more).fill(id), [4, more], 'int32'); // [batch, more]
          const padded: TextTensors = {
            ids: tf.concat([text.ids, filler], 1), // [batch, tokens + more]
            mask: tf.concat([text.mask, tf.zeros<tf.Rank.R2>([4, more], 'int32')], 1), // [batch, tokens + more]
          };
          const longer = runJointPass(params, config, image, padded, 'bidirectional').output;
          expect(sliceRows(longer, 0, config.queries)).toBeAllclose(sliceRows(output, 0, config.queries), EXACT);
          const longerWords = sliceRows(runTextPass(params, config, padded).output, 0, text.ids.shape[1]);
          expect(realRows(longerWords, text)).toBeAllclose(realRows(words, text), EXACT);
        }),
        { numRuns: 5 },
      );
    }));

  it('gives every image its rows, also where no layer looks at one', () =>
    withStage1((params, config, image) => {
      const blind = { ...params, layers: params.layers.map((layer) => ({ ...layer, crossAttention: undefined })) };
      const { hiddenStates, output, keyValues } = runQueryPass(blind, config, image);
      for (const { shape } of [...hiddenStates, output]) expect(shape).toEqual([4, config.queries, config.width]);
      for (const { keys } of keyValues) expect(keys.shape[0]).toBe(4);
    }));

  it('each query shares one whole look among the image’s tokens', () =>
    withStage1((params, config, image) => {
      const { crossAttention, output } = runQueryPass(params, config, image, { returnAttention: true });
      const unasked = runQueryPass(params, config, image);
      expect(unasked.crossAttention).toEqual([]);
      expect(unasked.output).toBeAllclose(output, 3e-6);
      expect(crossAttention.map(({ shape }) => shape)).toEqual([
        [4, 4, 6, 7],
        [4, 4, 6, 7],
      ]);
      for (const map of crossAttention) expect(tf.sum(map, 3)).toBeAllclose(tf.ones([4, 4, 6]), 1e-6);
    }));
});

it('passes leave no tensors behind', () =>
  withStage1(async (params, config, image, text) => {
    const passes = [
      () => runQueryPass(params, config, image),
      () => runTextPass(params, config, text),
      () => runJointPass(params, config, image, text, 'multimodal-causal'),
    ];
    for (const run of passes) await expectNoLeak(() => tf.dispose(run() as unknown as tf.TensorContainer));
    const { text: _, ...withoutText } = params;
    await expect(expectNoLeak(() => runTextPass(withoutText, config, text))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: This Q-Former has no text embeddings: stage-2 checkpoints leave its text branch out. Take weights of a stage-1 or matching checkpoint.]`,
    );
    await expect(expectNoLeak(() => qformerLayer(params.layers[0]!, config, image, { queryRows: 7 }))).rejects.toThrow();
  }));
