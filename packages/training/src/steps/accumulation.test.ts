import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs';
import { seededRandom, weightFromValues } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { separateParameters } from '../parameters/separate-parameters.ts';
import { SmallBatches } from '../trainer/small-run-test-support.ts';
import { batchLists, type BatchSource } from '../trainer/batch-source.ts';
import { train } from '../trainer/train.ts';
import { type AccumulatingStep, accumulated } from '../trainer/trainable-step.ts';
import { createTrainingStep } from './create-training-step.ts';

interface Params {
  readonly hidden: tf.Tensor2D; //               [3, 6]
  readonly output: tf.Tensor2D; //               [6, 1]
}

interface Batch {
  readonly x: tf.Tensor2D; //                    [rows, 3]
  readonly y: tf.Tensor2D; //                    [rows, 1]
}

async function openStep(engine: 'eager' | 'compiled'): Promise<AccumulatingStep<object>> {
  const random = seededRandom(7);
  const weight = (name: string, shape: number[]) =>
    weightFromValues(
      name,
      shape,
      Float32Array.from({ length: shape[0]! * shape[1]! }, () => random() - 0.5),
    );
  const parameters = separateParameters<Params>({ hidden: weight('hidden', [3, 6]), output: weight('output', [6, 1]) });
  const loss = ({ hidden, output }: Params, { x, y }: Batch) => {
    const error = tf.sub(tf.matMul(tf.tanh(tf.matMul(x, hidden)), output), y);
    return { loss: tf.mean(tf.square(error)) as tf.Scalar, largest: tf.max(tf.abs(error)) as tf.Scalar };
  };
  const example = await new SmallBatches().next({});
  return createTrainingStep<Params, Batch>(loss, { parameters, example, engine, accumulate: true, clipNorm: 0.5 }) as never;
}

beforeAll(async () => {
  tf.env().set('IS_TEST', true); // keeps the plain JavaScript backend from advertising the native one
  await tf.setBackend('cpu');
});

async function takeSteps(step: AccumulatingStep<object>, counts: readonly number[]) {
  const source = new SmallBatches();
  const reports = [];
  for (const count of counts) {
    const list = await batchLists(source, count).next({});
    reports.push(await step.runAccumulated(list, { learningRate: 0.05 }));
  }
  return { reports, state: await step.state() };
}

it('an eager step of several batches has the numbers of the compiled one', async () => {
  const [eager, compiled] = [await openStep('eager'), await openStep('compiled')];
  const before = tf.memory().numTensors;
  const [ours, theirs] = [await takeSteps(eager, [3, 1, 4]), await takeSteps(compiled, [3, 1, 4])];
  expect(tf.memory().numTensors).toBe(before);
  for (const [index, { loss, gradientNorm, metrics, skipped }] of ours.reports.entries()) {
    const expected = theirs.reports[index]!;
    expect([loss, gradientNorm, metrics['largest']]).toBeAllclose(
      [expected.loss, expected.gradientNorm, expected.metrics['largest']!],
      1e-5,
    );
    expect(skipped).toBe(false);
  }
  for (const kind of ['params', 'first', 'second'] as const) {
    for (const [path, { data }] of Object.entries(theirs.state[kind] as Record<string, { data: Float32Array }>)) {
      expect((ours.state[kind] as Record<string, { data: Float32Array }>)[path]!.data).toBeAllclose(data, 1e-5);
    }
  }
  eager.dispose();
  compiled.dispose();
});

it('an eager step of one batch is the plain step, and none is refused', async () => {
  const [one, other] = [await openStep('eager'), await openStep('eager')];
  const batch = await new SmallBatches().next({});
  expect(await one.runAccumulated([batch], { learningRate: 0.1 })).toEqual(await other.run(batch, { learningRate: 0.1 }));
  expect(await one.state()).toEqual(await other.state());
  await expect(one.runAccumulated([], { learningRate: 0.1 })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[InputError: training step: runAccumulated got 0 batches, expected at least one. Pass a batch.]`,
  );
  one.dispose();
  other.dispose();
});

it('an eager step skips all of a list with a batch that is not finite, and leaves nothing behind', async () => {
  const step = await openStep('eager');
  const before = await step.state();
  const tensors = tf.memory().numTensors;
  const list = await batchLists(new SmallBatches((index) => index === 1), 3).next({});
  expect(await step.runAccumulated(list, { learningRate: 0.1 })).toMatchObject({ skipped: true });
  expect(await step.state()).toEqual(before);
  expect(tf.memory().numTensors).toBe(tensors);
  step.dispose();
});

describe('batchLists', () => {
  it('trains with so many batches a step, releases each once, and stands where its source stands', async () => {
    const [source, step] = [new SmallBatches(), await openStep('eager')];
    const { step: taken } = await train({
      step: accumulated(step),
      batches: batchLists<object>(source as never, 3),
      schedule: () => 0.05,
      totalSteps: 4,
    });
    expect(taken).toBe(4);
    expect((await step.state()).steps).toBe(4);
    expect(source.released).toEqual(Array.from({ length: 12 }, (_, index) => index));
    step.dispose();
  });

  it('goes to a position between two lists', async () => {
    const [source, other] = [batchLists(new SmallBatches(), 2), batchLists(new SmallBatches(), 2)];
    await source.next({});
    const position = source.position();
    const expected = await source.next({});
    await other.seek(position);
    expect(await other.next({})).toEqual(expected);
  });

  it('gives back what it took when a batch fails', async () => {
    const released: number[] = [];
    let calls = 0;
    const source: BatchSource<number> = {
      next: () => (calls === 2 ? Promise.reject(new Error('no more')) : Promise.resolve(calls++)),
      position: () => calls,
      seek: () => undefined,
      release: (batch) => void released.push(batch),
    };
    await expect(batchLists(source, 3).next({})).rejects.toThrow('no more');
    expect(released).toEqual([0, 1]);
  });

  it('refuses a count that is none', () => {
    expect(() => batchLists(new SmallBatches(), 0)).toThrowErrorMatchingInlineSnapshot(
      `[InputError: batchLists: the count is 0, expected a whole number of 1 or more. Round it.]`,
    );
  });
});
