import { compileTrainingStep } from '@blip2/compiler/node';
import { spread } from '@blip2/testing';
import '@blip2/testing/gradients';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { contrastiveLoss } from './contrastive.ts';
import { drawNegatives, negativeWeights } from './hard-negatives.ts';
import { matchingBatch } from './matching.ts';

interface Params {
  readonly projection: Tensor2D; //              [5, 6]
  readonly temperature: Scalar;
}

interface Batch {
  readonly images: Tensor3D; //                  [4, 3, 5]
  readonly texts: Tensor2D; //                   [4, 6]
  readonly ids: Tensor2D; //                     int32 [4, 2]
  readonly draws: Tensor1D; //                   [4]
}

/** Contrast, and a loss of the pairs that it makes: negatives depend on what is trained. */
function lossOf({ projection, temperature }: Params, { images, texts, ids, draws }: Batch) {
  const projected = tf.reshape(tf.matMul(tf.reshape(images, [12, 5]) as Tensor2D, projection), [4, 3, 6]) as Tensor3D; // [4, 3, 6]
  const contrast = contrastiveLoss({ images: projected, texts }, temperature);
  const negatives = {
    imageForEachText: drawNegatives(negativeWeights(contrast.textToImage), draws),
    textForEachImage: drawNegatives(negativeWeights(contrast.imageToText), draws),
  };
  const pairs = matchingBatch({ images: projected, ids, mask: ids }, negatives); // [12, …]
  const words = tf.cast(tf.sum(pairs.ids, 1), 'float32'); // [12]
  const matching = tf.mean(tf.mul(tf.sum(tf.square(pairs.images), [1, 2]), words)) as Scalar;
  return { loss: tf.add(contrast.loss, matching) as Scalar, contrast: contrast.loss, matching };
}

it('a training step that draws its negatives is one graph, with the losses and gradients of tfjs', async () => {
  const batch: Batch = {
    images: spread([4, 3, 5], 1),
    texts: spread([4, 6], 2),
    ids: tf.tensor2d([1, 2, 3, 4, 5, 6, 7, 8], [4, 2], 'int32'),
    draws: tf.tensor1d([0.1, 0.4, 0.7, 0.95]),
  };
  const params: Params = { projection: spread([5, 6], 3), temperature: tf.scalar(0.5) };
  const [x, ids] = [(shape: number[]) => ({ shape }), { shape: [4, 2], dtype: 'int32' as const }];
  const step = await compileTrainingStep<Params, Batch>(lossOf, {
    params: {
      projection: { shape: [5, 6], data: params.projection.dataSync<'float32'>() },
      temperature: { shape: [], data: params.temperature.dataSync<'float32'>() },
    },
    batch: { images: x([4, 3, 5]), texts: x([4, 6]), ids, draws: x([4]) },
  });
  const { loss, metrics, gradientNorm } = await step.run(batch, { learningRate: 0 });
  step.dispose();

  const expected = lossOf(params, batch);
  const gradients = tf.grads((projection, temperature) => {
    const live = { projection: projection as Tensor2D, temperature: temperature as Scalar };
    return lossOf(live, batch).loss;
  })([params.projection, params.temperature]);
  const squares = gradients.map((gradient) => tf.sum(tf.square(gradient)).dataSync()[0]!);
  expect(loss).toBeCloseTo(expected.loss.dataSync()[0]!, 4);
  expect(metrics['contrast']).toBeCloseTo(expected.contrast.dataSync()[0]!, 5);
  expect(metrics['matching']).toBeCloseTo(expected.matching.dataSync()[0]!, 4);
  expect(gradientNorm).toBeCloseTo(Math.sqrt(squares[0]! + squares[1]!), 3);
});
