import '@tensorflow/tfjs-backend-wasm';
import { randomWeights } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import {
  CLIP_VIT_L,
  createVisionEncoder,
  describeVisionTransformer,
  EVA_VIT_G,
  type VisionTransformerConfig,
} from '../src/index.ts';

// node packages/vision-encoder/bench/vision-encoder.ts
// Random weights, all resident. ViT-g with 4 of its blocks: the whole does not fit the wasm heap; see `pnpm bench:full-size`.

await tf.setBackend('wasm');

async function measure(name: string, config: VisionTransformerConfig, batch: number, runs: number): Promise<void> {
  const weights = randomWeights((reader) => describeVisionTransformer(reader, config), { seed: 1 });
  using encoder = await createVisionEncoder(weights, config);
  const images = tf.randomUniform([batch, config.imageSize, config.imageSize, 3], -1, 1, 'float32', 1) as Tensor4D;
  (await encoder.encode(images)).dispose(); // warm-up
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    const features = await encoder.encode(images);
    await features.data();
    times.push(performance.now() - start);
    features.dispose();
  }
  images.dispose();
  const median = times.toSorted((a, b) => a - b)[times.length >> 1]!;
  const shape = `${batch}×${config.imageSize}×${config.imageSize}×3`;
  console.log(
    `${name.padEnd(24)} ${shape.padEnd(14)} ${median.toFixed(0).padStart(7)} ms, ${(median / config.layers).toFixed(1)} ms a block`,
  );
}

const fourBlocks = { ...EVA_VIT_G, layers: 4, layersInCheckpoint: 4 };
await measure('4 blocks of EVA ViT-g/14', fourBlocks, 1, 9);
await measure('4 blocks of EVA ViT-g/14', { ...fourBlocks, imageSize: 364 }, 1, 5);
await measure('4 blocks of EVA ViT-g/14', fourBlocks, 4, 5);
await measure('CLIP ViT-L/14, 23 blocks', CLIP_VIT_L, 1, 5);
