// Encodes an image with a small Vision Transformer:
//
//   node examples/basic.ts [FOLDER]
//
// FOLDER is a BLIP-2 or CLIP model in the Hugging Face layout; without one, the encoder has random weights.
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { randomWeights } from '@blip2/core';
import { createVisionEncoder, describeVisionTransformer, EVA_VIT_G, loadVisionEncoder } from '@blip2/vision-encoder';
import type { VisionTransformerConfig, VisionTransformerEncoder } from '@blip2/vision-encoder';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';

await tf.setBackend('wasm');

async function smallEncoder(): Promise<VisionTransformerEncoder> {
  const blocks = { layers: 3, layersInCheckpoint: 3, heads: 4 };
  const config: VisionTransformerConfig = { ...EVA_VIT_G, ...blocks, imageSize: 56, width: 64, feedForwardWidth: 128 };
  return createVisionEncoder(
    randomWeights((reader) => describeVisionTransformer(reader, config), { seed: 1 }),
    config,
  );
}

const folder = process.argv[2];
const checkpoint = folder === undefined ? undefined : await openCheckpointFolder(folder);
using encoder = checkpoint === undefined ? await smallEncoder() : await loadVisionEncoder(checkpoint);
const { imageSize } = encoder.config;

const images = tf.randomUniform([2, imageSize, imageSize, 3], -1, 1, 'float32', 7) as Tensor4D;
const { features, layers } = await encoder.encode(images, { returnLayers: true });
console.log(`images [${images.shape.join(', ')}] → features [${features.shape.join(', ')}]`);
for (const [index, layer] of layers.entries()) {
  const [spread] = tf.tidy(() => tf.sqrt(tf.moments(layer).variance).dataSync());
  console.log(`after ${index === 0 ? 'embedding' : `block ${index - 1}`}: standard deviation ${spread!.toFixed(3)}`);
}
tf.dispose([images, features, ...layers]);
checkpoint?.dispose();
