import type { Engine, HostTensor } from '@blip2/core';
import { randomWeights } from '@blip2/core';
import { expectNoLeak } from '@blip2/testing';
import { eagerEngine } from '@blip2/testing/engine';
import * as tf from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { calibrationImages } from './calibration-images.ts';
import { createVisionEncoder, type VisionEncoderOptions } from './vision-encoder.ts';
import { EVA_VIT_G, type VisionTransformerConfig } from './vision-transformer-config.ts';
import { describeVisionTransformer } from './vision-transformer-weights.ts';

const config: VisionTransformerConfig = {
  ...EVA_VIT_G,
  imageSize: 14,
  patchSize: 4,
  width: 8,
  layers: 1,
  layersInCheckpoint: 1,
  heads: 2,
  feedForwardWidth: 12,
};
const weights = randomWeights((reader) => describeVisionTransformer(reader, config), { seed: 2 });

it('are four images, the same each time, with the range and contrast of photographs', () => {
  const { shape, data } = calibrationImages(56);
  expect(shape).toEqual([4, 56, 56, 3]);
  expect(calibrationImages(56).data).toEqual(data);
  const size = 56 * 56 * 3;
  const images = [0, 1, 2, 3].map((index) => data.slice(index * size, (index + 1) * size) as Float32Array);
  for (const image of images) {
    // Black and white of CLIP's normalisation, and nothing beyond.
    for (const value of image) expect(value > -1.8 && value < 2.2).toBe(true);
    const mean = image.reduce((sum, value) => sum + value, 0) / size;
    const deviation = Math.sqrt(image.reduce((sum, value) => sum + (value - mean) ** 2, 0) / size);
    expect(deviation).toBeGreaterThan(0.3);
    expect(deviation).toBeLessThan(2);
  }
  const roughness = images.map((image) => {
    return image.slice(3).reduce((sum, value, index) => sum + Math.abs(value - image[index]!), 0) / size;
  });
  expect(roughness[2]).toBeGreaterThan(3 * roughness[0]!); // texture against soft areas
});

/** Loads an encoder. @returns what it tells an engine to measure with. */
async function samplesFor(options: VisionEncoderOptions = {}): Promise<{ images: HostTensor; positions: HostTensor }> {
  const engine = eagerEngine();
  let samples: (() => Promise<unknown>) | undefined;
  const noting: Engine = {
    ...engine,
    prepare: (compute, given) => ((samples = given.samples), engine.prepare(compute, given)),
  };
  using _ = await createVisionEncoder(weights, config, { engine: noting, ...options });
  return (await samples!()) as { images: HostTensor; positions: HostTensor };
}

it('are what an engine measures with, together with the positions, unless there are others', async () => {
  const { images, positions } = await samplesFor();
  expect(images).toEqual(calibrationImages(12)); // whole patches
  expect(positions.shape).toEqual([10, 8]);
  const own = tf.randomNormal<tf.Rank.R4>([2, 14, 14, 3], 0, 1, 'float32', 1);
  await expectNoLeak(async () => void (await samplesFor({ calibrationImages: own })));
  const { images: taken } = await samplesFor({ calibrationImages: own });
  expect(taken.shape).toEqual([2, 12, 12, 3]);
  expect(taken.data).toEqual(tf.slice(own, [0, 0, 0, 0], [2, 12, 12, 3]).dataSync());
});

it('have to have the size of the encoder', async () => {
  const small = tf.zeros<tf.Rank.R4>([1, 8, 8, 3]);
  await expect(samplesFor({ calibrationImages: small })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: createVisionEncoder: calibrationImages is [1, 8, 8, 3], expected [batch, 14, 14, 3]. Preprocess them as the images that will be encoded.]`,
  );
});
