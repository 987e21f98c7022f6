import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { type Checkpoint, type EngineOptions, layerNorm, type LayerNormParams, materialize, withTensorScope } from '@blip2/core';
import { fixturePath, type Golden, readGolden, TOLERANCE } from '@blip2/testing';
import { eagerEngine } from '@blip2/testing/engine';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { loadVisionEncoder, type VisionTransformerEncoder } from './vision-encoder.ts';
import type { VisionConfigOptions } from './vision-transformer-config.ts';

/** `[batch, channels, height, width]` of the reference → `[batch, height, width, channels]`. */
function pixels(golden: Golden, name = 'pixel_values'): Tensor4D {
  return tf.tidy(() => tf.transpose(golden.tensor<tf.Rank.R4>(name), [0, 2, 3, 1]));
}

/** ln_vision, which belongs to the Q-Former: applied here to compare with what the reference returns. */
async function normalized(checkpoint: Checkpoint, features: tf.Tensor3D): Promise<tf.Tensor3D> {
  const take = (name: string) => checkpoint.weights.get(`vision_model.post_layernorm.${name}`)!;
  const norm = await materialize<LayerNormParams>({ weight: take('weight'), bias: take('bias') });
  return layerNorm(norm, features, 1e-6);
}

/** The same numbers, block by block and as whole functions. */
describe.each<[string, () => EngineOptions['engine']]>([
  ['by blocks', () => undefined],
  ['on an engine', eagerEngine],
])('%s', (_, engine) => {
  async function withEncoder(
    folder: string,
    run: (encoder: VisionTransformerEncoder, checkpoint: Checkpoint) => Promise<void>,
    options: VisionConfigOptions = {},
  ): Promise<void> {
    const checkpoint = await openCheckpointFolder(fixturePath('models', folder));
    const encoder = await loadVisionEncoder(checkpoint, { ...options, engine: engine() });
    try {
      await run(encoder, checkpoint);
    } finally {
      encoder.dispose();
      checkpoint.dispose();
    }
  }

  describe.each(['blip2-opt', 'blip2-itm', 'blip2-flan-t5'])('%s', (folder) => {
    const golden = readGolden(`models/${folder}`);

    it('has the features of every layer', () =>
      withEncoder(folder, async (encoder, checkpoint) => {
        const { features, layers } = await encoder.encode(pixels(golden), { returnLayers: true });
        expect(layers).toHaveLength(encoder.config.layers + 1);
        layers.forEach((layer, index) =>
          expect(layer).toBeAllclose(golden.get(`vision.hidden_states.${index}`), TOLERANCE.activations),
        );
        expect(features).toBeAllclose(golden.get(`vision.hidden_states.${encoder.config.layers}`), TOLERANCE.activations);
        const last = await normalized(checkpoint, features);
        expect(last).toBeAllclose(golden.get('vision.last_hidden_state'), TOLERANCE.activations);
      }));
  });

  describe.each([
    ['blip2-opt-float16', 'blip2-opt'],
    ['blip2-flan-t5-bfloat16-sharded', 'blip2-flan-t5'],
  ])('%s', (folder, main) => {
    it('computes in float32 with weights of half the size', () =>
      withEncoder(folder, async (encoder, checkpoint) => {
        const features = await encoder.encode(pixels(readGolden(`models/${main}`)));
        const expected = readGolden(`models/${folder}`).get('vision.last_hidden_state');
        expect(await normalized(checkpoint, features)).toBeAllclose(expected, TOLERANCE.activations);
      }));
  });

  it.each(['interp_70x70', 'interp_56x84'])('blip2-opt with interpolated positions, %s', (name) =>
    withEncoder('blip2-opt', async (encoder, checkpoint) => {
      const golden = readGolden('models/blip2-opt');
      const features = await encoder.encode(pixels(golden, `${name}.pixel_values`), { interpolatePositions: true });
      const expected = golden.get(`${name}.vision.last_hidden_state`);
      expect(await normalized(checkpoint, features)).toBeAllclose(expected, TOLERANCE.activations);
    }),
  );

  describe('clip-vit-l-vision', () => {
    const golden = readGolden('models/clip-vit-l-vision');

    it('runs all blocks but the last, as BLIP-2 does', () =>
      withEncoder('clip-vit-l-vision', async (encoder) => {
        const features = await encoder.encode(pixels(golden));
        expect(golden.json.second_to_last).toBe('hidden_states.3');
        expect(features).toBeAllclose(golden.get(golden.json.second_to_last), TOLERANCE.activations);
      }));

    it('runs the whole tower on request, with the features of every layer', () =>
      withEncoder(
        'clip-vit-l-vision',
        async (encoder) => {
          const { layers, features } = await encoder.encode(pixels(golden), { returnLayers: true });
          expect(layers).toHaveLength(5);
          layers.forEach((layer, index) =>
            expect(layer).toBeAllclose(golden.get(`hidden_states.${index}`), TOLERANCE.activations),
          );
          expect(features).toBeAllclose(golden.get('last_hidden_state'), TOLERANCE.activations);
        },
        { layers: 4 },
      ));

    it('interpolates to a grid that is not square', () =>
      withEncoder(
        'clip-vit-l-vision',
        async (encoder) => {
          const features = await encoder.encode(pixels(golden, 'interp.pixel_values'), { interpolatePositions: true });
          expect(features).toBeAllclose(golden.get('interp.last_hidden_state'), TOLERANCE.activations);
        },
        { layers: 4 },
      ));

    it('loads float16 weights whose names lack the prefix', () =>
      withEncoder('clip-vit-l-vision-unprefixed-float16', (encoder) =>
        withTensorScope(async () => {
          const expected = readGolden('models/clip-vit-l-vision-unprefixed-float16').get('second_to_last');
          expect(await encoder.encode(pixels(golden))).toBeAllclose(expected, TOLERANCE.activations);
        }),
      ));
  });
});
