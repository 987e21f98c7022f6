// Trains a small model, stops in the middle, and goes on where it stopped: node examples/basic.ts
import { mkdtemp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { weightFromValues } from '@blip2/core';
import { createEagerStep, indexedBatches, train, trainingFolder, warmupCosine } from '@blip2/training/node';
import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';

await tf.setBackend('wasm');
const folder = await mkdtemp(join(tmpdir(), 'blip2-training-'));
const totalSteps = 200;

/** One run of the program: it begins, or goes on, and is stopped after `stopAt` steps. */
async function run(stopAt: number): Promise<void> {
  const params = { weight: weightFromValues('weight', [2, 1], Float32Array.of(0, 0)) };
  using step = await createEagerStep<{ x: tf.Tensor2D; y: tf.Tensor2D }>(
    ({ weight }, { x, y }) => ({ loss: tf.mean(tf.squaredDifference(tf.matMul(x, weight as tf.Tensor2D), y)) as tf.Scalar }),
    { params, weightDecay: 0 },
  );
  const batches = indexedBatches({
    length: 64,
    batchSize: 8,
    make(_rows, random) {
      const x = Float32Array.from({ length: 16 }, () => 2 * random() - 1);
      const y = Float32Array.from({ length: 8 }, (_, row) => 3 * x[2 * row]! - x[2 * row + 1]!); // what is to be learned: 3 and −1
      return { x: { shape: [8, 2], data: x }, y: { shape: [8, 1], data: y } };
    },
  });
  const schedule = warmupCosine({ peak: 0.1, warmupSteps: 20, totalSteps });
  const parts = trainingFolder(folder, { identity: { recipe: 'a line', totalSteps }, title: 'A line' });
  const { last } = await train<unknown>({ step, batches, schedule, totalSteps: stopAt, ...parts });
  console.log(`after step ${stopAt}: loss ${last?.loss.toFixed(6)}`);
}

await run(80);
await run(totalSteps);
console.log(`${folder}: ${(await readdir(folder)).toSorted().join(', ')}`);
