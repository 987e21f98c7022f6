import { IGNORED_LABEL } from '@blip2/core';
import { expectNoLeak, spread } from '@blip2/testing';
import { describeBackends } from '@blip2/testing/backends';
import { expectGradient } from '@blip2/testing/gradients';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { type ContrastiveFeatures, contrastiveLoss } from './contrastive.ts';
import { drawNegatives, negativeWeights } from './hard-negatives.ts';
import { matchingBatch, matchingLabels, matchingLoss } from './matching.ts';
import { nextTokenLoss, tokenLoss } from './next-token.ts';

const features = (batch: number, seed = 1): ContrastiveFeatures => ({
  images: spread<tf.Rank.R3>([batch, 3, 4], seed),
  texts: spread<tf.Rank.R2>([batch, 4], seed + 1),
});
const temperature = tf.scalar(0.5);
const valueOf = (x: tf.Tensor): number => x.dataSync()[0]!;

describeBackends(() => {
  describe('contrastiveLoss', () => {
    it('of two workers is that of one batch in two halves', () => {
      const whole = features(4);
      const half = (begin: number): ContrastiveFeatures => ({
        images: tf.slice(whole.images, [begin, 0, 0], [2, -1, -1]),
        texts: tf.slice(whole.texts, [begin, 0], [2, -1]),
      });
      const parts = [0, 2].map((offset) => contrastiveLoss(half(offset), temperature, { gathered: { ...whole, offset } }));
      const expected = contrastiveLoss(whole, temperature);
      expect(tf.concat(parts.map(({ imageToText }) => imageToText))).toBeAllclose(expected.imageToText, 1e-5);
      expect(tf.concat(parts.map(({ textToImage }) => textToImage))).toBeAllclose(expected.textToImage, 1e-5);
      expect(parts.reduce((sum, { loss }) => sum + valueOf(loss) / 2, 0)).toBeCloseTo(valueOf(expected.loss), 5);
    });

    it('with ids that all differ is that without ids', () => {
      const imageIds = { own: tf.tensor1d([7, 3, 9], 'int32') };
      const loss = contrastiveLoss(features(3), temperature, { imageIds }).loss;
      expect(valueOf(loss)).toBeCloseTo(valueOf(contrastiveLoss(features(3), temperature).loss), 5);
    });

    it('may pool queries by their mean', () => {
      const { images, texts } = features(3);
      const mean = tf.mean<tf.Tensor3D>(images, 1, true); // one query, so that the best is the only one
      const pooled = contrastiveLoss({ images, texts }, temperature, { pooling: 'mean' }).imageToText;
      expect(pooled).toBeAllclose(contrastiveLoss({ images: mean, texts }, temperature).imageToText, 1e-5);
    });

    it('has the gradients of features and temperature', () => {
      const { images, texts } = features(3);
      const loss = (some: Partial<ContrastiveFeatures>, scale = temperature): tf.Scalar =>
        contrastiveLoss({ images, texts, ...some }, scale).loss;
      expectGradient((x) => loss({ images: x as tf.Tensor3D }), images, { step: 0.01 });
      expectGradient((x) => loss({ texts: x as tf.Tensor2D }), texts, { step: 0.01 });
      expectGradient((x) => loss({}, x as tf.Scalar), temperature, { step: 0.01 });
    });

    it('wants as many images as texts', () => {
      const uneven = { images: features(2).images, texts: features(3).texts };
      expect(() => contrastiveLoss(uneven, temperature)).toThrowErrorMatchingInlineSnapshot(
        `[InputError: contrastiveLoss: got 2 images and 3 texts, expected as many of both: row i of one belongs to row i of the other.]`,
      );
    });
  });

  describe('hard negatives', () => {
    it('are the likelier the more similar they are, and never what belongs together', () => {
      const similarity = tf.tensor2d([[9, 1, 3], [2, 9, 2], [0, 5, 9]]); // prettier-ignore
      const weights = negativeWeights(similarity).arraySync();
      const [low, high] = [1 / (1 + Math.exp(2)), 1 / (1 + Math.exp(-2))];
      expect(weights.flat()).toBeAllclose([0, low, high, 0.5, 0, 0.5, 1 / (1 + Math.exp(5)), 1 / (1 + Math.exp(-5)), 0], 1e-6);
    });

    it('lie elsewhere among the candidates of all workers', () => {
      const weights = negativeWeights(tf.zeros([1, 3]), { offset: 2 });
      expect(weights.dataSync()).toBeAllclose([0.5, 0.5, 0], 1e-6);
    });

    it('are drawn where the cumulated weights pass the draw', () => {
      const weights = tf.tensor2d([[0, 1, 3, 0], [2, 0, 0, 2], [0, 0, 0, 5], [0, 5, 0, 0]]); // prettier-ignore
      const drawn = (...draws: number[]): number[] => [...drawNegatives(weights, tf.tensor1d(draws)).dataSync()];
      expect(drawn(0, 0, 0, 0)).toEqual([1, 0, 3, 1]);
      expect(drawn(0.24, 0.49, 0.5, 0.5)).toEqual([1, 0, 3, 1]);
      expect(drawn(0.26, 0.51, 0.5, 0.5)).toEqual([2, 3, 3, 1]);
      expect(drawn(1 - 2 ** -24, 1 - 2 ** -24, 1 - 2 ** -24, 1)).toEqual([2, 3, 3, 1]);
      expect(() => drawn(0)).toThrowErrorMatchingInlineSnapshot(
        `[InputError: drawNegatives: got 1 draws for 4 rows, expected one a row.]`,
      );
    });

    it('let no gradient through', () => {
      const similarity = spread<tf.Rank.R2>([2, 3]);
      const rows = spread<tf.Rank.R2>([3, 4], 2);
      const gradient = tf.grad((x) => {
        const drawn = drawNegatives(negativeWeights(x as tf.Tensor2D), tf.tensor1d([0.2, 0.7]));
        return tf.add(tf.sum(tf.gather(rows, drawn)), tf.sum(tf.square(x)));
      })(similarity);
      expect(gradient).toBeAllclose(tf.mul(similarity, 2), 1e-6);
    });

    it('are drawn as often as their weights say', () => {
      const count = 4000;
      const weights = tf.tile(tf.tensor2d([[1, 0, 2, 5]]), [count, 1]) as tf.Tensor2D;
      const drawn = drawNegatives(weights, tf.tensor1d(Array.from({ length: count }, (_, index) => (index + 0.5) / count)));
      const counts = [0, 0, 0, 0];
      for (const index of drawn.dataSync()) counts[index]!++;
      expect(counts).toEqual([500, 0, 1000, 2500]);
    });
  });

  describe('matching', () => {
    it('takes negatives from other workers, with the gradient of their images', () => {
      const pairs = (batch: number, seed: number) => ({
        images: spread<tf.Rank.R3>([batch, 2, 3], seed),
        ids: tf.reshape<tf.Rank.R2>(tf.range(seed, seed + batch * 2, 1, 'int32'), [batch, 2]),
        mask: tf.ones<tf.Rank.R2>([batch, 2], 'int32'),
      });
      const [own, all] = [pairs(1, 3), pairs(3, 10)];
      const negatives = { imageForEachText: tf.tensor1d([2], 'int32'), textForEachImage: tf.tensor1d([1], 'int32') };
      const { images, ids } = matchingBatch(own, negatives, all);
      expect(ids.arraySync()).toEqual([[3, 4], [3, 4], [12, 13]]); // prettier-ignore
      expect(images).toBeAllclose(tf.concat([own.images, tf.slice(all.images, [2, 0, 0], [1, 2, 3]), own.images]), 0);
      const gradient = tf.grad((x) => tf.sum(matchingBatch(own, negatives, { ...all, images: x as tf.Tensor3D }).images))(
        all.images,
      );
      expect(gradient).toBeAllclose(tf.concat([tf.zeros([2, 2, 3]), tf.ones([1, 2, 3])]), 0);
    });

    it('is ln 2 for a model that knows nothing', () => {
      expect(valueOf(matchingLoss(tf.zeros([6, 2]), matchingLabels(2)))).toBeCloseTo(Math.LN2, 6);
      expect(() => matchingLoss(tf.zeros([5, 2]), matchingLabels(2))).toThrowErrorMatchingInlineSnapshot(
        `[InputError: matchingLoss: got 6 labels for 5 pairs, expected one a pair.]`,
      );
    });
  });

  describe('language modelling', () => {
    const logits = spread<tf.Rank.R3>([2, 4, 5], 4);
    const labels = tf.tensor2d([[1, 2, 3, IGNORED_LABEL], [IGNORED_LABEL, 4, 0, 1]], [2, 4], 'int32'); // prettier-ignore

    /** −log softmax at each label, with loops. */
    function naive(shift: number): number[][] {
      return labels.arraySync().map((row, text) =>
        row.flatMap((label, token) => {
          if (label === IGNORED_LABEL || token < shift) return [];
          const scores = logits.arraySync()[text]![token - shift]!;
          return [Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0)) - scores[label]!];
        }),
      );
    }
    const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

    it.each([
      { name: 'predicts the next token', loss: nextTokenLoss, shift: 1 },
      { name: 'predicts the token at a position', loss: tokenLoss, shift: 0 },
    ])('$name: the mean over all, or weighted rows', ({ loss, shift }) => {
      expect(valueOf(loss(logits, labels))).toBeCloseTo(mean(naive(shift).flat()), 5);
      const weights = tf.tensor1d([0.3, 0.7]);
      const [first, second] = naive(shift).map(mean) as [number, number];
      expect(valueOf(loss(logits, labels, { weights }))).toBeCloseTo((0.3 * first + 0.7 * second) / 2, 5);
      expect(valueOf(loss(logits, labels, { weights, divisor: 1 }))).toBeCloseTo(0.3 * first + 0.7 * second, 5);
      expectGradient((x) => loss(x as tf.Tensor3D, labels, { weights, labelSmoothing: 0.1 }), logits, { step: 0.01 });
    });

    it('wants a label for each position', () => {
      expect(() => nextTokenLoss(logits, tf.zeros([2, 3], 'int32'))).toThrowErrorMatchingInlineSnapshot(
        `[InputError: nextTokenLoss: labels are [2, 3], expected [2, 4], because the logits are [2, 4, …].]`,
      );
    });
  });

  it('leaves nothing behind but the results', async () => {
    const { images, texts } = features(3);
    const draws = tf.tensor1d([0.1, 0.5, 0.9]);
    await expectNoLeak(() => {
      const contrast = contrastiveLoss({ images, texts }, temperature);
      const weights = negativeWeights(contrast.imageToText);
      tf.dispose([Object.values(contrast), weights, drawNegatives(weights, draws), matchingLabels(2)]);
    });
  });
});
