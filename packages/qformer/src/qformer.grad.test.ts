import { contrastiveSimilarity, gatherRows, IGNORED_LABEL, meanCrossEntropy } from '@blip2/core';
import { expectNoLeak, readGolden } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { namedTensors, withParams } from './__fixtures__/fixture-models.ts';
import { captionLogits, matchingLogits, projectContrastive } from './heads.ts';
import { runCaptionPass, runJointPass, runQueryPass, runTextPass, type TextTensors } from './passes.ts';
import { normalizeImage, type QFormerParams, sliceRows } from './qformer.ts';
import type { QFormerConfig } from './qformer-config.ts';

/** Gradients are compared in units of their largest entry. */
const TOLERANCE = 1e-4;

describe('image-text matching, blip2-itm', () => {
  const golden = readGolden('models/blip2-itm');

  it('has the gradients of the reference, whole tensors and norms of the others', () =>
    withParams('blip2-itm', async (params, config) => {
      const { labels, loss: expectedLoss, grad_norms: norms } = golden.json.itm_loss;
      const { features, text } = allPairs(golden);
      const loss = (): Scalar => {
        const image = normalizeImage(params.inputs, config, features);
        const { output } = runJointPass(params, config, image, text, 'bidirectional');
        return meanCrossEntropy(
          matchingLogits(params.heads.matching!, sliceRows(output, 0, config.queries)),
          tf.tensor1d(labels, 'int32'),
        );
      };
      expect(loss().dataSync()[0]).toBeCloseTo(expectedLoss, 5);
      const gradients = gradientsOf(loss, params, config);
      expectGradients(gradients, golden, 'itm.grad.');
      expectNorms(gradients, norms);
    }));
});

describe('stage 1: contrast, matching and captioning', () => {
  const golden = readGolden('models/stage1');

  it('has the losses and gradients of the reference', () =>
    withParams('stage1', async (params, config) => {
      const losses = stage1Losses(golden, params, config);
      for (const name of ['loss_itc', 'loss_itm', 'loss_lm'] as const) {
        expect(losses[name]().dataSync()[0]).toBeCloseTo(golden.json.losses[name], 4);
      }
      const total = (): Scalar => tf.addN([losses.loss_itc(), losses.loss_itm(), losses.loss_lm()]) as Scalar;
      const gradients = gradientsOf(total, params, config);
      expectGradients(gradients, golden, 'grad.');
      expectNorms(gradients, golden.json.grad_norms);
    }));

  it.each(['loss_itc', 'loss_itm', 'loss_lm'] as const)('reaches with %s exactly what the reference reaches', (name) =>
    withParams('stage1', async (params, config) => {
      const gradients = gradientsOf(stage1Losses(golden, params, config)[name], params, config);
      expectNorms(gradients, golden.json.grad_norms_by_loss[name]);
      for (const unreached of golden.json.no_grad_by_loss[name] as string[]) {
        expect(norm(gradients.get(hubName(unreached))!), unreached).toBe(0);
      }
      const queries = golden.get(`grad_${name.slice('loss_'.length)}.query_tokens`);
      expectGradient(gradients.get('query_tokens')!, queries.data, 'query_tokens');
    }),
  );

  it('takes the five AdamW steps of the reference', () =>
    withParams('stage1', async (params, config) => {
      const { losses_before_each_step: expected, ...settings } = golden.json.adamw;
      let current = params;
      const moments = new Map<string, Moments>();
      for (const [index, before] of (expected as Record<string, number>[]).entries()) {
        const losses = stage1Losses(golden, current, config);
        for (const name of ['loss_itc', 'loss_itm', 'loss_lm'] as const) {
          expect(losses[name](), `step ${index}: ${name}`).toBeAllclose([before[name]!], TOLERANCE);
        }
        const total = (): Scalar => tf.addN([losses.loss_itc(), losses.loss_itm(), losses.loss_lm()]) as Scalar;
        const gradients = gradientsOf(total, current, config);
        const stepped = [...namedTensors(current, config)].map(([name, value]): [Tensor, Tensor] => {
          return [value, adamW(value, gradients.get(name)!, name, moments, index + 1, settings)];
        });
        current = replaceTensors(current, new Map(stepped)) as QFormerParams;
      }
      const after = namedTensors(current, config);
      for (const name of golden.names.filter((candidate) => candidate.startsWith('adamw5.'))) {
        // Single entries may be off by 2e-3: a first step has the size of the learning rate whatever the gradient.
        expect(after.get(hubName(name.slice('adamw5.'.length)))!.dataSync(), name).toBeAllclose(golden.get(name).data, 2e-3);
      }
    }));

  it('leaves no tensors behind', () =>
    withParams('stage1', async (params, config) => {
      const losses = stage1Losses(golden, params, config);
      const gradientsOnce = (): tf.TensorContainer => Object.fromEntries(gradientsOf(losses.loss_lm, params, config));
      await expectNoLeak(() => tf.dispose(tf.tidy(gradientsOnce)));
    }));
});

/** Every image with every text of the fixture. */
function allPairs(golden: ReturnType<typeof readGolden>): { features: Tensor3D; text: TextTensors } {
  const { input_ids: ids, attention_mask: mask } = golden.json as { input_ids: number[][]; attention_mask: number[][] };
  const four = [0, 1, 2, 3];
  const images = tf.tensor1d(
    four.flatMap((image) => ids.map(() => image)),
    'int32',
  );
  return {
    features: tf.gather(golden.tensor<tf.Rank.R3>('vision.hidden_states.3'), images), // [20, tokens, width]
    text: {
      ids: tf.tensor2d(
        four.flatMap(() => ids),
        [20, ids[0]!.length],
        'int32',
      ), // [20, tokens]
      mask: tf.tensor2d(
        four.flatMap(() => mask),
        [20, ids[0]!.length],
        'int32',
      ), // [20, tokens]
    },
  };
}

/** The three losses of a training step, with the negatives that the reference drew. */
function stage1Losses(golden: ReturnType<typeof readGolden>, params: QFormerParams, config: QFormerConfig) {
  const { heads } = params;
  const ids = golden.tensor<tf.Rank.R2>('input_ids');
  const mask = golden.tensor<tf.Rank.R2>('attention_mask');
  const features = golden.tensor<tf.Rank.R3>('image_features');
  const targets = golden.tensor<tf.Rank.R1>('itc.targets');
  const negativeImages = golden.tensor<tf.Rank.R1>('itm.negative_image_index');
  const negativeTexts = golden.tensor<tf.Rank.R1>('itm.negative_text_index');
  const imageOf = (): Tensor3D => normalizeImage(params.inputs, config, features);
  return {
    loss_itc: (): Scalar => {
      const queries = projectContrastive(heads.imageProjection!, runQueryPass(params, config, imageOf()).output);
      const words = projectContrastive(heads.textProjection!, runTextPass(params, config, { ids, mask }).output);
      const classes = tf.squeeze<Tensor2D>(tf.slice(words, [0, 0, 0], [-1, 1, -1]), [1]); // [batch, contrastiveWidth]
      const similarity = tf.div<Tensor2D>(contrastiveSimilarity(queries, classes), heads.temperature!); // [images, texts]
      const smoothed = { labelSmoothing: 0.1 };
      const both = tf.add(
        meanCrossEntropy(similarity, targets, smoothed),
        meanCrossEntropy(tf.transpose(similarity), targets, smoothed),
      );
      return tf.div(both, 2) as Scalar;
    },
    loss_itm: (): Scalar => {
      const image = imageOf();
      const images = tf.concat([image, gatherRows(image, negativeImages), image], 0); // [3·batch, tokens, imageFeatureWidth]
      const text = {
        ids: tf.concat([ids, ids, tf.gather(ids, negativeTexts)], 0), // [3·batch, tokens]
        mask: tf.concat([mask, mask, tf.gather(mask, negativeTexts)], 0), // [3·batch, tokens]
      };
      const { output } = runJointPass(params, config, images, text, 'bidirectional');
      return meanCrossEntropy(matchingLogits(heads.matching!, sliceRows(output, 0, config.queries)), golden.tensor('itm.labels'));
    },
    loss_lm: (): Scalar => {
      const { keyValues } = runQueryPass(params, config, imageOf());
      const { output } = runCaptionPass(params, config, keyValues, { ids: golden.tensor('itg.decoder_input_ids'), mask });
      const logits = captionLogits(params.text!.captionHead!, config, output); // [batch, tokens, vocab]
      const [batch, tokens, vocab] = logits.shape;
      const predicted = tf.reshape(tf.slice(logits, [0, 0, 0], [-1, tokens - 1, -1]), [-1, vocab]) as Tensor2D; // [batch·(tokens − 1), vocab]
      const labels = tf.reshape(tf.slice(golden.tensor<tf.Rank.R2>('itg.labels'), [0, 1], [batch, tokens - 1]), [-1]) as Tensor1D;
      return meanCrossEntropy(predicted, labels, { ignoreIndex: IGNORED_LABEL, labelSmoothing: 0.1 });
    },
  };
}

/** Running means of a parameter's gradient and of its square. */
interface Moments {
  readonly first: Tensor;
  readonly second: Tensor;
}

interface AdamWSettings {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weight_decay: number;
}

/** A parameter after one decoupled step. Vectors do not decay; the temperature, which has no dimension, does. */
function adamW(
  value: Tensor,
  gradient: Tensor,
  name: string,
  moments: Map<string, Moments>,
  step: number,
  { lr, betas: [beta1, beta2], eps, weight_decay: decay }: AdamWSettings,
): Tensor {
  const { first, second } = moments.get(name) ?? { first: tf.zerosLike(value), second: tf.zerosLike(value) };
  const next: Moments = {
    first: tf.add(tf.mul(first, beta1), tf.mul(gradient, 1 - beta1)),
    second: tf.add(tf.mul(second, beta2), tf.mul(tf.square(gradient), 1 - beta2)),
  };
  moments.set(name, next);
  const direction = tf.div(tf.div(next.first, 1 - beta1 ** step), tf.add(tf.sqrt(tf.div(next.second, 1 - beta2 ** step)), eps));
  return tf.sub(tf.mul(value, value.rank === 1 ? 1 : 1 - lr * decay), tf.mul(direction, lr));
}

/** The same tree with other tensors. */
function replaceTensors(tree: unknown, replacements: ReadonlyMap<Tensor, Tensor>): unknown {
  if (tree instanceof tf.Tensor) return replacements.get(tree) ?? tree;
  if (Array.isArray(tree)) return tree.map((child) => replaceTensors(child, replacements));
  if (typeof tree !== 'object' || tree === null) return tree;
  return Object.fromEntries(Object.entries(tree).map(([key, child]) => [key, replaceTensors(child, replacements)]));
}

/** The gradient of every parameter by its checkpoint name, zeros where the loss does not reach. */
function gradientsOf(loss: () => Scalar, params: QFormerParams, config: QFormerConfig): Map<string, Tensor> {
  const named = namedTensors(params, config);
  // A sum with weight 0 lets tfjs differentiate by parameters that the loss does not touch.
  const anchored = (): Scalar =>
    tf.add(loss(), tf.addN([...named.values()].map((tensor) => tf.mul(tf.sum(tensor), 0)))) as Scalar;
  const gradients = tf.grads(anchored)([...named.values()]);
  return new Map([...named.keys()].map((name, index) => [name, gradients[index]!]));
}

/** The gradients that the fixture holds whole. */
function expectGradients(gradients: ReadonlyMap<string, Tensor>, golden: ReturnType<typeof readGolden>, prefix: string): void {
  const stored = golden.names.filter((name) => name.startsWith(prefix));
  expect(stored.length).toBeGreaterThan(5);
  for (const name of stored) {
    const parameter = hubName(name.slice(prefix.length));
    expectGradient(gradients.get(parameter)!, golden.get(name).data, parameter);
  }
}

function expectGradient(gradient: Tensor, expected: ArrayLike<number>, name: string): void {
  const actual = gradient.dataSync();
  expect(actual.length, name).toBe(expected.length);
  const largest = Array.from(expected).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const worst = Array.from(expected).reduce((most, value, index) => Math.max(most, Math.abs(value - actual[index]!)), 0);
  expect(worst / largest, name).toBeLessThan(TOLERANCE);
}

function expectNorms(gradients: ReadonlyMap<string, Tensor>, norms: Readonly<Record<string, number>>): void {
  for (const [name, expected] of Object.entries(norms)) {
    expect(Math.abs(norm(gradients.get(hubName(name))!) - expected), name).toBeLessThanOrEqual(1e-3 * expected);
  }
}

function norm(gradient: Tensor): number {
  return tf.norm(gradient).dataSync()[0]!;
}

/** Names of the original implementation as those of the Hub. */
function hubName(name: string): string {
  return name
    .replace(/^ln_vision\./, 'vision_model.post_layernorm.')
    .replace(/^vision_proj\./, 'vision_projection.')
    .replace(/^text_proj\./, 'text_projection.')
    .replace(/^Qformer\.cls\./, 'cls.')
    .replace(/^Qformer\.bert\.embeddings\.LayerNorm\./, 'qformer.layernorm.')
    .replace(/^Qformer\.bert\.embeddings\./, 'embeddings.')
    .replace(/^Qformer\.bert\./, 'qformer.')
    .replace('attention.self.', 'attention.attention.');
}
