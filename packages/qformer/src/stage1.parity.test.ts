import { contrastiveSimilarity, querySimilarity, type TokenBatch } from '@blip2/core';
import { readGolden, TOLERANCE } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { RUNNERS, withParams } from './__fixtures__/fixture-models.ts';
import { captionLogits, matchingLogits, projectContrastive } from './heads.ts';
import { runCaptionPass, runJointPass, runQueryPass, runTextPass, type TextTensors } from './passes.ts';
import { normalizeImage, type QFormerParams, sliceRows } from './qformer.ts';
import type { QFormerConfig } from './qformer-config.ts';

const golden = readGolden('models/stage1');
const text: TokenBatch = { ids: golden.json.input_ids, mask: golden.json.attention_mask };
const indices = (values: readonly number[]): Tensor1D => tf.tensor1d(values.slice(), 'int32');
const firstRow = (x: Tensor3D): Tensor2D => tf.squeeze(tf.slice(x, [0, 0, 0], [-1, 1, -1]), [1]);
const imageFeatures = (): Tensor3D => golden.tensor<tf.Rank.R3>('image_features');

/** A fixture's text as tensors; the captioning task puts `[DEC]` first. */
const textOf = (ids: string): TextTensors => ({ ids: golden.tensor(ids), mask: golden.tensor('attention_mask') });

/** Compares all but padded rows, whose values mean nothing. */
function expectRealRows(actual: tf.Tensor, name: string, mask: readonly (readonly number[])[], tolerance: number): void {
  const real = tf.expandDims(tf.tensor2d(mask.map((row) => row.slice())), 2); // [batch, tokens, 1]
  expect(tf.mul(actual, real)).toBeAllclose(tf.mul(golden.tensor(name), real), tolerance);
}

describe('the passes as functions', () => {
  it('queries: ln_vision with its own epsilon, every layer', () =>
    withParams('stage1', (params, config) => {
      const image = normalizeImage(params.inputs, config, imageFeatures());
      expect(image).toBeAllclose(golden.get('image_embeds'), TOLERANCE.activations);
      const { hiddenStates } = runQueryPass(params, config, image);
      expect(hiddenStates).toHaveLength(5);
      hiddenStates.forEach((state, index) =>
        expect(state).toBeAllclose(golden.get(`query.hidden_states.${index}`), TOLERANCE.activations),
      );
    }));

  it('text', () =>
    withParams('stage1', (params, config) => {
      const { output } = runTextPass(params, config, textOf('input_ids'));
      expectRealRows(output, 'text.last_hidden_state', text.mask, TOLERANCE.activations);
    }));

  it('contrast: one text against every query, the best counts, over the temperature', () =>
    withParams('stage1', (params, config) => {
      const image = normalizeImage(params.inputs, config, imageFeatures());
      const { vision, words } = contrastiveFeatures(params, config, image);
      expect(vision).toBeAllclose(golden.get('itc.image_feats'), TOLERANCE.similarities);
      expect(words).toBeAllclose(golden.get('itc.text_feat'), TOLERANCE.similarities);
      expect(querySimilarity(vision, words)).toBeAllclose(golden.get('itc.sim_q2t'), TOLERANCE.similarities);
      const similarity = contrastiveSimilarity(vision, words);
      // Divided by 0.07, errors grow with the values.
      expect(tf.div(similarity, params.heads.temperature!)).toBeAllclose(golden.get('itc.sim_i2t'), TOLERANCE.activations);
      expect(tf.div(tf.transpose(similarity), params.heads.temperature!)).toBeAllclose(
        golden.get('itc.sim_t2i'),
        TOLERANCE.activations,
      );
    }));

  it('matching: positives, negative images, negative texts', () =>
    withParams('stage1', (params, config) => {
      const image = normalizeImage(params.inputs, config, imageFeatures());
      const { ids, mask } = textOf('input_ids');
      const images = tf.concat([image, tf.gather(image, golden.tensor<tf.Rank.R1>('itm.negative_image_index')), image], 0); // [3·batch, tokens, imageFeatureWidth]
      const negative = golden.tensor<tf.Rank.R1>('itm.negative_text_index');
      const texts = {
        ids: tf.concat([ids, ids, tf.gather(ids, negative)], 0), // [3·batch, tokens]
        mask: tf.concat([mask, mask, tf.gather(mask, negative)], 0), // [3·batch, tokens]
      };
      const { output } = runJointPass(params, config, images, texts, 'bidirectional');
      const queries = sliceRows(output, 0, config.queries); // [3·batch, queries, width]
      expect(queries).toBeAllclose(golden.get('itm.query_output'), TOLERANCE.activations);
      const logits = matchingLogits(params.heads.matching!, queries); // [3·batch, 2]
      expect(logits).toBeAllclose(golden.get('itm.logits'), TOLERANCE.activations);
    }));

  it('captioning: after cached queries and in one pass', () =>
    withParams('stage1', (params, config) => {
      const image = normalizeImage(params.inputs, config, imageFeatures());
      const words = textOf('itg.decoder_input_ids');
      const cached = runCaptionPass(params, config, runQueryPass(params, config, image).keyValues, words);
      const head = params.text!.captionHead!;
      expectRealRows(captionLogits(head, config, cached.output), 'itg.logits', text.mask, TOLERANCE.activations);

      const joint = runJointPass(params, config, image, words, 'multimodal-causal');
      const textRows = sliceRows(joint.output, config.queries, text.ids[0]!.length);
      expectRealRows(captionLogits(head, config, textRows), 'itg.logits', text.mask, TOLERANCE.activations);
    }));
});

describe.each(RUNNERS)('the loaded model, %s', (_name, withModel) => {
  it('extracts features of images, texts and both', () =>
    withModel('stage1', async (qformer) => {
      const queries = await qformer.encodeQueries(imageFeatures());
      expect(queries).toBeAllclose(golden.get('features.image_embeds'), TOLERANCE.activations);
      expect(await qformer.projectImage(queries)).toBeAllclose(golden.get('features.image_embeds_proj'), TOLERANCE.similarities);

      const { input_ids: ids, attention_mask: mask } = golden.json.features_text;
      const words = await qformer.encodeText({ ids, mask });
      expectRealRows(words, 'features.text_embeds', mask, TOLERANCE.activations);
      expectRealRows(await qformer.projectText(words), 'features.text_embeds_proj', mask, TOLERANCE.similarities);

      const multimodal = await qformer.encodeQueries(imageFeatures(), { text: { ids, mask } });
      expect(multimodal).toBeAllclose(golden.get('features.multimodal_embeds'), TOLERANCE.activations);
    }));

  it('scores all pairs', () =>
    withModel('stage1', async (qformer) => {
      for (let image = 0; image < 4; image++) {
        const repeated = tf.gather(imageFeatures(), indices([image, image, image, image]));
        const match = tf.slice(await qformer.match(repeated, text), [0, 1], [4, 1]); // [texts, 1]
        expect(match.dataSync()).toBeAllclose(
          golden.get('eval.itm_score').data.slice(4 * image, 4 * image + 4),
          TOLERANCE.activations,
        );
      }
    }));

  it('ranks: contrast first, matching for the three best, in both directions', () =>
    withModel('stage1', async (qformer) => {
      const rows = (name: string): number[][] => golden.tensor<tf.Rank.R2>(name).arraySync();
      const texts = { ids: rows('rerank.input_ids'), mask: rows('rerank.attention_mask') };
      const features = golden.tensor<tf.Rank.R3>('rerank.image_features');
      const images = await qformer.projectImage(await qformer.encodeQueries(features));
      const words = firstRow(await qformer.projectText(await qformer.encodeText(texts)));
      const cosines = contrastiveSimilarity(images, words).arraySync(); // [images][texts]

      const scored = async (byRow: number[][], pairOf: (row: number, column: number) => [number, number]): Promise<number[]> => {
        const scores: number[] = [];
        for (const [row, values] of byRow.entries()) {
          const best = new Set(
            [...values.keys()].toSorted((a, b) => values[b]! - values[a]!).slice(0, golden.json.rerank.k_test),
          );
          for (const [column, cosine] of values.entries()) {
            if (!best.has(column)) {
              scores.push(-100);
              continue;
            }
            const [image, word] = pairOf(row, column);
            const pair = { ids: [texts.ids[word]!], mask: [texts.mask[word]!] };
            const logits = await qformer.match(tf.gather(features, indices([image])), pair);
            scores.push(logits.dataSync()[1]! + cosine);
          }
        }
        return scores;
      };
      const toTexts = await scored(cosines, (image, word) => [image, word]);
      expect(toTexts).toBeAllclose(golden.get('rerank.score_i2t').data, TOLERANCE.activations);
      const byText = cosines[0]!.map((_, word) => cosines.map((row) => row[word]!));
      const toImages = await scored(byText, (word, image) => [image, word]);
      expect(toImages).toBeAllclose(golden.get('rerank.score_t2i').data, TOLERANCE.activations);
    }));

  it('keeps the temperature', () =>
    withModel('stage1', async (qformer) => expect(await qformer.readTemperature()).toBeCloseTo(0.07, 6)));

  it('writes captions token by token', () =>
    withModel('stage1', async (qformer) => {
      const { greedy_ids: expected } = golden.json.qformer_captioning as { greedy_ids: number[][] };
      const stepLogits = golden.get('qformer_captioning.step_logits_first_row');
      const session = await qformer.startCaptioning!(imageFeatures());
      expect(session.promptIds).toEqual([[320], [320], [320], [320]]);
      const written = session.promptIds.map((ids) => ids.slice());
      let logits = await session.start();
      for (let step = 0; step < 8; step++) {
        const vocab = stepLogits.shape[1]!;
        expect(logits.dataSync().slice(0, vocab)).toBeAllclose(
          stepLogits.data.slice(step * vocab, (step + 1) * vocab),
          TOLERANCE.activations,
        );
        const next = [...tf.argMax(logits, 1).dataSync()];
        next.forEach((id, row) => written[row]!.push(id));
        if (step < 7) logits = await session.step(next);
      }
      session.dispose();
      expect(written).toEqual(expected);
    }));
});

function contrastiveFeatures(
  params: QFormerParams,
  config: QFormerConfig,
  image: Tensor3D,
): { vision: Tensor3D; words: Tensor2D } {
  const { imageProjection, textProjection } = params.heads;
  const { output: queries } = runQueryPass(params, config, image);
  const { output: words } = runTextPass(params, config, textOf('input_ids'));
  return {
    vision: projectContrastive(imageProjection!, queries), // [batch, queries, contrastiveWidth]
    words: firstRow(projectContrastive(textProjection!, words)), // [batch, contrastiveWidth]
  };
}
