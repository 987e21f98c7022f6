import { materialize, randomWeights, seededRandom, WeightReader } from '@blip2/core';
import { expectNoLeak } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import type { Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { CLIP_VIT_L, EVA_VIT_G, type VisionTransformerConfig } from './vision-transformer-config.ts';
import { describeVisionTransformer } from './vision-transformer-weights.ts';
import { cutIntoPatches, embedImages, visionTransformer, type VisionTransformerParams } from './vision-transformer.ts';

const tiny = { imageSize: 12, patchSize: 4, width: 8, layers: 2, layersInCheckpoint: 2, heads: 2, feedForwardWidth: 12 };
const tinyEva: VisionTransformerConfig = { ...EVA_VIT_G, ...tiny };
const tinyClip: VisionTransformerConfig = { ...CLIP_VIT_L, ...tiny };

function randomParams(config: VisionTransformerConfig): Promise<VisionTransformerParams> {
  const weights = randomWeights((reader) => describeVisionTransformer(reader, config), { seed: 5, standardDeviation: 0.3 });
  return materialize<VisionTransformerParams>(describeVisionTransformer(new WeightReader(weights, 'test'), config));
}

function randomImages(batch: number, height = 12, width = 12): Tensor4D {
  const random = seededRandom(height * 31 + width);
  const values = Float32Array.from({ length: batch * height * width * 3 }, () => 2 * random() - 1);
  return tf.tensor4d(values, [batch, height, width, 3]);
}

describe('cutIntoPatches', () => {
  it('orders a patch as channel, row, column, and leaves broken patches out', () => {
    const [height, width, side] = [5, 7, 2];
    const images = tf.reshape(tf.range(0, 2 * height * width * 3), [2, height, width, 3]) as Tensor4D;
    const patches = cutIntoPatches(images, side);
    expect(patches.shape).toEqual([2, 6, 12]);
    const pixels = images.arraySync();
    const naive = [0, 1].map((image) =>
      [0, 1].flatMap((row) =>
        [0, 1, 2].map((column) =>
          [0, 1, 2].flatMap((channel) =>
            [0, 1].flatMap((y) => [0, 1].map((x) => pixels[image]![row * side + y]![column * side + x]![channel]!)),
          ),
        ),
      ),
    );
    expect(patches.arraySync()).toEqual(naive);
  });

  it('with a linear layer is the convolution of the checkpoint', async () => {
    const { embeddings } = await randomParams(tinyEva);
    const images = randomImages(2);
    const kernel = tf.transpose(tf.reshape(embeddings.patch.weight, [8, 3, 4, 4]), [2, 3, 1, 0]) as Tensor4D; // [y, x, channels, width]
    const convolved = tf.add(tf.reshape(tf.conv2d(images, kernel, 4, 'valid'), [2, 9, 8]), embeddings.patch.bias!);
    const withoutPositions = { ...embeddings, positions: tf.zerosLike(embeddings.positions) };
    const tokens = embedImages(withoutPositions, tinyEva, images);
    expect(tf.slice(tokens, [0, 1, 0], [2, 9, 8])).toBeAllclose(convolved, 1e-5);
    expect(tf.slice(tokens, [1, 0, 0], [1, 1, 8])).toBeAllclose(embeddings.classToken.dataSync(), 1e-7);
  });
});

describe.each([
  ['EVA', tinyEva],
  ['CLIP', tinyClip],
])('visionTransformer, %s', (_, config) => {
  it('sees each image for itself: a permuted batch gives permuted features', async () => {
    const params = await randomParams(config);
    const images = randomImages(3);
    const order = tf.tensor1d([2, 0, 1], 'int32');
    const features = visionTransformer(params, config, images);
    expect(features.shape).toEqual([3, 10, 8]);
    expect(visionTransformer(params, config, tf.gather(images, order))).toBeAllclose(tf.gather(features, order), 1e-5);
  });

  it('leaves no tensors behind', async () => {
    const params = await randomParams(config);
    const images = randomImages(2);
    await expectNoLeak(() => visionTransformer(params, config, images).dispose());
  });

  it('has the gradients of central differences', async () => {
    const params = await randomParams(config);
    const images = randomImages(1);
    const direction = tf.randomNormal([1, 10, 8], 0, 1, 'float32', 9) as Tensor3D;
    const loss = (tree: VisionTransformerParams, pixels: Tensor4D): tf.Scalar =>
      tf.sum(tf.mul(visionTransformer(tree, config, pixels), direction));

    const block = params.blocks[0]!;
    const withQuery = (weight: tf.Tensor): VisionTransformerParams => ({
      ...params,
      blocks: [
        { ...block, attention: { ...block.attention, query: { ...block.attention.query, weight: weight as tf.Tensor2D } } },
        ...params.blocks.slice(1),
      ],
    });
    const withPatch = (weight: tf.Tensor): VisionTransformerParams => ({
      ...params,
      embeddings: { ...params.embeddings, patch: { ...params.embeddings.patch, weight: weight as tf.Tensor2D } },
    });
    checkGradient((weight) => loss(withQuery(weight), images), block.attention.query.weight);
    checkGradient((weight) => loss(withPatch(weight), images), params.embeddings.patch.weight);
    checkGradient((pixels) => loss(params, pixels as Tensor4D), images);
  });
});

/** A few coordinates of the gradient, against central differences. */
function checkGradient(loss: (x: tf.Tensor) => tf.Scalar, at: tf.Tensor): void {
  const gradient = tf.grad(loss)(at).dataSync<'float32'>();
  const largest = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const values = at.dataSync();
  const step = 1e-2;
  for (const index of [0, 1, Math.floor(values.length / 2), values.length - 1]) {
    const moved = (by: number): number => {
      const copy = Float32Array.from(values);
      copy[index]! += by;
      return loss(tf.tensor(copy, at.shape)).dataSync()[0]!;
    };
    const difference = (moved(step) - moved(-step)) / (2 * step);
    expect(Math.abs(difference - gradient[index]!) / largest).toBeLessThan(0.01);
  }
}
