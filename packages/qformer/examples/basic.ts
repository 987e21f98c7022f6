// Lets queries read image features, matches them with texts, and shows where they looked: node examples/basic.ts [FOLDER]
//
// FOLDER is a matching BLIP-2 model in the Hugging Face layout (blip2-itm-vit-g); without one, weights are random.
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { randomWeights, type TokenBatch } from '@blip2/core';
import { createQFormer, describeQFormer, type LoadedQFormer, loadQFormer, QFORMER_MATCHING } from '@blip2/qformer';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';

await tf.setBackend('wasm');

async function smallQFormer(): Promise<LoadedQFormer> {
  const config = { ...QFORMER_MATCHING, width: 96, feedForwardWidth: 192, layers: 4, imageFeatureWidth: 64 };
  return createQFormer(
    randomWeights((reader) => describeQFormer(reader, config)),
    config,
  );
}

const folder = process.argv[2];
const checkpoint = folder === undefined ? undefined : await openCheckpointFolder(folder);
using qformer = checkpoint === undefined ? await smallQFormer() : await loadQFormer(checkpoint);

// Two images' features, as an encoder gives them, and two texts: [CLS] … [SEP], padded.
const features = tf.randomNormal<tf.Rank.R3>([2, 257, qformer.config.imageFeatureWidth], 0, 1, 'float32', 3);
const ids = [101, 1037, 3899, 102];
const text: TokenBatch = { ids: [ids, [101, 4937, 102, 0]], mask: [ids.map(() => 1), [1, 1, 1, 0]] };

const { queries, attention } = await qformer.encodeQueries(features, { returnAttention: true });
const logits = await qformer.match(features, text);
const probabilities = tf.tidy(() => tf.softmax(logits).dataSync()); // no match, match; no match, match
console.log(`features [${features.shape.join(', ')}] → queries [${queries.shape.join(', ')}]`);
console.log(`probability of a match: ${probabilities[1]!.toFixed(3)}, ${probabilities[3]!.toFixed(3)}`);
console.log(`${attention.length} attention maps of [${attention[0]!.shape.join(', ')}]`);
tf.dispose([features, queries, logits, ...attention]);
checkpoint?.dispose();
