import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { randomWeights } from '@blip2/core';
import { imageProcessorOfSize } from '@blip2/image';
import { createQFormer, describeQFormer, QFORMER_MATCHING } from '@blip2/qformer';
import { createVisionEncoder, describeVisionTransformer, EVA_VIT_G } from '@blip2/vision-encoder';
import { createBlip2, embedImages } from 'blip2';

await tf.setBackend('wasm');
const vision = { ...EVA_VIT_G, imageSize: 56, width: 64, layers: 2, layersInCheckpoint: 2, heads: 4, feedForwardWidth: 128 };
const bridge = { ...QFORMER_MATCHING, width: 48, layers: 2, heads: 4, feedForwardWidth: 96, imageFeatureWidth: 64 };
const visionEncoder = await createVisionEncoder(
  randomWeights((reader) => describeVisionTransformer(reader, vision)),
  vision,
);
const qformer = await createQFormer(
  randomWeights((reader) => describeQFormer(reader, bridge)),
  bridge,
);
const model = createBlip2({ visionEncoder, qformer, imageProcessor: imageProcessorOfSize(56) }, { name: 'a random model' });

const image = { width: 80, height: 60, data: Uint8Array.from({ length: 80 * 60 * 3 }, (_, index) => index) };
const queries = await embedImages(model, image);
console.log(queries.shape); // [1, 32, 256]: one unit vector for each query
model.dispose();
