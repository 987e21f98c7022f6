import { MASKED } from '@blip2/core';
import { expectNoLeak, readGolden } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { type AttentionPattern, captionMask, jointMask, textOnlyMask } from './attention-masks.ts';

const golden = readGolden('models/stage1');
const queries = 6;
const textMask = (): Tensor2D => golden.tensor<tf.Rank.R2>('attention_mask');

/** Biases as the reference writes them: 0 or −10000. */
function asReference(bias: tf.Tensor): tf.Tensor {
  const values = bias.dataSync();
  expect(values.every((value) => value === 0 || value === MASKED)).toBe(true);
  return tf.mul(bias, 10_000 / -MASKED);
}

describe('masks of stage 1, as the reference makes them', () => {
  it('text alone', () => expect(asReference(textOnlyMask(textMask()))).toBeAllclose(golden.get('mask.itc_text'), 0));

  it('matching: three texts for each image', () => {
    const { negatives } = golden.json;
    const mask = textMask();
    const negative = tf.gather(mask, negatives.text_for_each_image as number[]);
    const all = tf.concat([mask, mask, negative], 0);
    expect(asReference(jointMask('bidirectional', all, queries))).toBeAllclose(golden.get('mask.itm'), 0);
  });

  it('captioning after cached queries', () =>
    expect(asReference(captionMask(textMask(), queries))).toBeAllclose(golden.get('mask.itg_cached'), 0));

  it('captioning in one pass', () =>
    expect(asReference(jointMask('multimodal-causal', textMask(), queries))).toBeAllclose(golden.get('mask.itg_full'), 0));

  it('queries alone see all queries', () => expect(golden.get('mask.itc_query').data.every((value) => value === 0)).toBe(true));
});

it('the unimodal mask is a block for queries and one for real words', () => {
  const mask = jointMask('unimodal', tf.tensor2d([[1, 1, 0]], [1, 3], 'int32'), 2);
  const visible = (tf.squeeze(mask, [0, 1]).arraySync() as number[][]).map((row) => row.map((bias) => (bias === 0 ? 1 : 0)));
  expect(visible).toEqual([
    [1, 1, 0, 0, 0],
    [1, 1, 0, 0, 0],
    [0, 0, 1, 1, 0],
    [0, 0, 1, 1, 0],
    [0, 0, 1, 1, 0],
  ]);
});

it('masks leave no tensors behind', async () => {
  const mask = textMask();
  for (const pattern of ['unimodal', 'bidirectional', 'multimodal-causal'] satisfies AttentionPattern[]) {
    await expectNoLeak(() => jointMask(pattern, mask, queries).dispose());
  }
  await expectNoLeak(() => captionMask(mask, queries).dispose());
});
