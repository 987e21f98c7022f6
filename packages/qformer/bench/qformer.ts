import '@tensorflow/tfjs-backend-wasm';
import { randomWeights, type TokenBatch } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor3D } from '@tensorflow/tfjs-core';
import { createQFormer, describeQFormer, QFORMER_STAGE_1 } from '../src/index.ts';

// node packages/qformer/bench/qformer.ts
// The Q-Former of stage 1 at its true size, 186.7 million random weights, resident.

await tf.setBackend('wasm');
const weights = randomWeights((reader) => describeQFormer(reader, QFORMER_STAGE_1), { seed: 1 });
using qformer = await createQFormer(weights, QFORMER_STAGE_1);

const features = (images: number, tokens: number): Tensor3D => tf.randomNormal([images, tokens, 1408], 0, 1, 'float32', 1);
const text = (rows: number, tokens: number): TokenBatch => ({
  ids: Array.from({ length: rows }, () => Array.from({ length: tokens }, (_, index) => 1000 + index)),
  mask: Array.from({ length: rows }, () => Array.from({ length: tokens }, () => 1)),
});

/** Prints the median of five runs, after one to warm up. */
async function measure(name: string, run: () => Promise<tf.Tensor>): Promise<void> {
  const times: number[] = [];
  for (let round = -1; round < 5; round++) {
    const start = performance.now();
    const result = await run();
    await result.data();
    result.dispose();
    if (round >= 0) times.push(performance.now() - start);
  }
  console.log(
    `${name.padEnd(44)} ${times
      .toSorted((a, b) => a - b)[2]!
      .toFixed(0)
      .padStart(6)} ms`,
  );
}

const small = features(1, 257);
const large = features(1, 677);
const sixteen = tf.tile(small, [16, 1, 1]);
await measure('encodeQueries 1×257×1408', () => qformer.encodeQueries(small));
await measure('encodeQueries 1×677×1408', () => qformer.encodeQueries(large));
await measure('encodeText 1×16', () => qformer.encodeText(text(1, 16)));
await measure('match 1×257×1408 with 16 tokens', () => qformer.match(small, text(1, 16)));
await measure('match 16×257×1408 with 16 tokens', () => qformer.match(sixteen, text(16, 16)));
await measure('match 1×257×1408 with 16 texts', () => qformer.match(small, text(16, 16)));

const session = await qformer.startCaptioning!(small);
(await session.start()).dispose();
await measure('one token of a caption', () => session.step([1000]));
session.reorder([0, 0, 0]);
await measure('one token of a caption, 3 beams', () => session.step([1000, 1001, 1002]));
session.dispose();
