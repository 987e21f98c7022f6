// A scene that the model has never seen, through every stage: node packages/tiny/examples/basic.ts
import { fileURLToPath } from 'node:url';
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { drawScene, renderScene } from '@blip2/datasets';
import { imageProcessorOfSize, preprocess } from '@blip2/image';
import { loadLanguageModel } from '@blip2/llm-adapters';
import { loadQFormer } from '@blip2/qformer';
import { tinyModelUrl } from '@blip2/tiny';
import { loadVisionEncoder } from '@blip2/vision-encoder';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';

await tf.setBackend('wasm');
const checkpoint = await openCheckpointFolder(fileURLToPath(tinyModelUrl()));
using visionEncoder = await loadVisionEncoder(checkpoint);
using qformer = await loadQFormer(checkpoint);
using languageModel = await loadLanguageModel(checkpoint);

const image = renderScene(drawScene({ seed: 5, index: 3 }));
const pixels = preprocess([image], imageProcessorOfSize(visionEncoder.config.imageSize)); // [1, 128, 128, 3]
const features = await visionEncoder.encode(pixels); // [1, 65, 128]
const queries = await qformer.encodeQueries(features); // [1, 16, 128]
const prompt = await qformer.projectToPrompt(queries); // [1, 16, 128]
const [texts] = await languageModel.generate(prompt, ['a photo of'], { beams: 5, maxNewTokens: 40 });
console.log(texts![0]!.text);
tf.dispose([pixels, features, queries, prompt]);
checkpoint.dispose();
