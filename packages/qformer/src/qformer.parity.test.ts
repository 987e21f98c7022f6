import { contrastiveSimilarity, linear, type TokenBatch } from '@blip2/core';
import { readGolden, TOLERANCE } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { RUNNERS, withParams } from './__fixtures__/fixture-models.ts';
import { runQueryPass } from './passes.ts';

/** The image features of a main folder, before `ln_vision`. */
function imageFeatures(folder: string): Tensor3D {
  return readGolden(`models/${folder}`).tensor<tf.Rank.R3>('vision.hidden_states.3');
}

it.each(['blip2-opt-float16', 'blip2-flan-t5-bfloat16-sharded'])(
  '%s computes in float32 with weights of half the size',
  (folder) =>
    withParams(folder, (params, config) => {
      const golden = readGolden(`models/${folder}`);
      const image = golden.tensor<tf.Rank.R3>('vision.last_hidden_state'); // after ln_vision
      const { output } = runQueryPass(params, config, image);
      expect(linear(params.heads.promptProjection!, output)).toBeAllclose(
        golden.get('language_projection'),
        TOLERANCE.activations,
      );
    }),
);

describe.each(RUNNERS)('%s', (_name, withModel) => {
  describe.each(['blip2-opt', 'blip2-flan-t5'])('%s', (folder) => {
    it('has the queries of every layer and the prompt', () =>
      withModel(folder, async (qformer) => {
        const golden = readGolden(`models/${folder}`);
        const { queries, layers } = await qformer.encodeQueries(imageFeatures(folder), { returnLayers: true });
        expect(layers).toHaveLength(5);
        layers.forEach((layer, index) =>
          expect(layer).toBeAllclose(golden.get(`qformer.hidden_states.${index}`), TOLERANCE.activations),
        );
        expect(queries).toBeAllclose(golden.get('qformer.last_hidden_state'), TOLERANCE.activations);
        expect(await qformer.projectToPrompt(queries)).toBeAllclose(golden.get('language_projection'), TOLERANCE.activations);
      }));
  });

  describe('blip2-itm', () => {
    const golden = readGolden('models/blip2-itm');
    const texts: TokenBatch = { ids: golden.json.input_ids, mask: golden.json.attention_mask };
    const features = (): Tensor3D => imageFeatures('blip2-itm');
    const classRow = (x: Tensor3D): Tensor2D => tf.squeeze(tf.slice(x, [0, 0, 0], [-1, 1, -1]), [1]);

    /** Every image with every text; pair p is image p / 5, text p % 5. */
    const pairs = (): [Tensor3D, TokenBatch] => {
      const images = [0, 1, 2, 3].flatMap((image) => texts.ids.map(() => image));
      const repeated = { ids: [0, 1, 2, 3].flatMap(() => texts.ids), mask: [0, 1, 2, 3].flatMap(() => texts.mask) };
      return [tf.gather(features(), tf.tensor1d(images, 'int32')), repeated];
    };

    it('embeds images: the queries of every layer and their contrastive features', () =>
      withModel('blip2-itm', async (qformer) => {
        const { queries, layers } = await qformer.encodeQueries(features(), { returnLayers: true });
        layers.forEach((layer, index) =>
          expect(layer).toBeAllclose(golden.get(`itc.query.hidden_states.${index}`), TOLERANCE.activations),
        );
        expect(await qformer.projectImage(queries)).toBeAllclose(golden.get('itc.image_embeds'), TOLERANCE.similarities);
      }));

    it('embeds texts: every layer where there are words, and every position', () =>
      withModel('blip2-itm', async (qformer) => {
        const { text, layers } = await qformer.encodeText(texts, { returnLayers: true });
        layers.forEach((layer, index) => expectRealRows(layer, `itc.text.hidden_states.${index}`, texts));
        const projected = await qformer.projectText(text);
        expect(classRow(projected)).toBeAllclose(golden.get('itc.text_embeds'), TOLERANCE.similarities);
        expectRealRows(projected, 'text_model_with_projection.text_embeds', texts, TOLERANCE.similarities);
      }));

    it('contrasts images with texts, whatever their padding', () =>
      withModel('blip2-itm', async (qformer) => {
        const images = await qformer.projectImage(await qformer.encodeQueries(features()));
        const similarity = contrastiveSimilarity(images, classRow(await qformer.projectText(await qformer.encodeText(texts))));
        expect(similarity).toBeAllclose(golden.get('itc.logits_per_image'), TOLERANCE.similarities);
        expect(tf.transpose(similarity)).toBeAllclose(golden.get('itc.logits_per_text'), TOLERANCE.similarities);
        const { input_ids: ids, attention_mask: mask } = golden.json.max12;
        const short = classRow(await qformer.projectText(await qformer.encodeText({ ids, mask })));
        expect(contrastiveSimilarity(images, short)).toBeAllclose(
          golden.get('itc_max12.logits_per_image'),
          TOLERANCE.similarities,
        );
      }));

    it('matches every image with every text', () =>
      withModel('blip2-itm', async (qformer) => {
        const logits = await qformer.match(...pairs());
        expect(logits).toBeAllclose(golden.get('itm.logits'), TOLERANCE.activations);
        expect(tf.softmax(logits)).toBeAllclose(golden.get('itm.probabilities'), TOLERANCE.similarities);
      }));

    it('reads image and text together: queries, then words, of every layer', () =>
      withModel('blip2-itm', async (qformer) => {
        const four: TokenBatch = { ids: texts.ids.slice(0, 4), mask: texts.mask.slice(0, 4) };
        const { layers } = await qformer.encodeQueries(features(), { text: four, returnLayers: true });
        expect(layers).toHaveLength(5);
        layers.forEach((layer, index) => expectRealRows(layer, `itm.hidden_states.${index}`, four, TOLERANCE.activations, 6));
      }));

    /** Compares all but padded rows, whose values mean nothing. */
    function expectRealRows(
      actual: Tensor3D,
      name: string,
      { mask }: TokenBatch,
      tolerance: number = TOLERANCE.activations,
      queries = 0,
    ): void {
      const real = tf.expandDims(tf.tensor2d(mask.map((row) => [...Array<number>(queries).fill(1), ...row])), 2); // [batch, rows, 1]
      expect(tf.mul(actual, real)).toBeAllclose(tf.mul(golden.tensor(name), real), tolerance);
    }
  });
});
