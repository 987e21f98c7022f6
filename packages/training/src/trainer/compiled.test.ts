import '@tensorflow/tfjs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileTrainingStep } from '@blip2/compiler/node';
import { type HostTensor, seededRandom } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { indexedBatches } from '../batches/indexed-batches.ts';
import { checkpointFolder } from '../checkpoints/checkpoint-folder.ts';
import { warmupCosine } from '../schedules/schedules.ts';
import type { TrainableStep } from './trainable-step.ts';
import { train } from './train.ts';

interface Params {
  readonly layers: readonly { readonly weight: tf.Tensor2D }[];
}

interface Batch {
  readonly x: HostTensor; // [4, 3]
}

function numbers(shape: readonly number[], random: () => number): HostTensor {
  return { shape, data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() - 0.5) };
}

/** A layer that learns to give back what it gets, through a second one. */
async function compiledStep(): Promise<TrainableStep<Batch> & Disposable> {
  const random = seededRandom(1);
  return compileTrainingStep(
    ({ layers }: Params, { x }: { x: tf.Tensor2D }) => ({
      loss: tf.mean(tf.squaredDifference(tf.matMul(tf.tanh(tf.matMul(x, layers[0]!.weight)), layers[1]!.weight), x)) as tf.Scalar,
    }),
    {
      params: { layers: [{ weight: numbers([3, 5], random) }, { weight: numbers([5, 3], random) }] } as never,
      batch: { x: { shape: [4, 3] } },
    },
  );
}

it('a compiled step stops, is saved, and goes on in another program as if it had never stopped', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'blip2-compiled-'));
  try {
    const batches = () =>
      indexedBatches<Batch>({ length: 40, batchSize: 4, seed: 3, make: (_, random) => ({ x: numbers([4, 3], random) }) });
    const options = { schedule: warmupCosine({ peak: 0.02, warmupSteps: 4, totalSteps: 30 }), totalSteps: 30 };
    using whole = await compiledStep();
    const expected = await train({ ...options, step: whole, batches: batches() });

    using stopped = await compiledStep();
    await train({ ...options, totalSteps: 13, step: stopped, batches: batches(), checkpoints: checkpointFolder(folder) });
    using resumed = await compiledStep();
    const found = await train({ ...options, step: resumed, batches: batches(), checkpoints: checkpointFolder(folder) });

    expect(found.last).toEqual(expected.last);
    expect(await resumed.state()).toEqual(await whole.state());
    expect(found.last!.loss).toBeLessThan(0.1);
  } finally {
    await rm(folder, { recursive: true });
  }
});
