import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs';
import type { HostTensor } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, it } from 'vitest';
import { compileTrainingStep } from '../node.ts';
import { flattenTree } from '../tree.ts';
import type { LossFunction, OptimizerOptions } from './training-function.ts';
import type { TrainingStep } from './training-step.ts';

interface Params {
  readonly hidden: { readonly weight: tf.Tensor2D; readonly bias: tf.Tensor1D };
  readonly output: tf.Tensor2D;
}

interface Batch {
  readonly x: tf.Tensor2D;
  readonly y: tf.Tensor2D;
}

/** A mean over rows, and another one. */
const loss: LossFunction<Params, Batch, unknown> = ({ hidden, output }, { x, y }) => {
  const inner = tf.tanh(tf.add(tf.matMul(x, hidden.weight), hidden.bias)) as tf.Tensor2D;
  const error = tf.sub(tf.matMul(inner, output), y);
  return { loss: tf.mean(tf.square(error)) as tf.Scalar, absolute: tf.mean(tf.abs(error)) as tf.Scalar };
};

function values(shape: number[], seed: number): HostTensor {
  return { shape, data: tf.randomNormal(shape, 0, 0.5, 'float32', seed).dataSync() as Float32Array };
}

const START = { hidden: { weight: values([4, 5], 1), bias: values([5], 2) }, output: values([5, 2], 3) };
const ROWS = 3;
const COUNT = 4;

type HostBatch = Record<'x' | 'y', HostTensor>;

const batches = (seed: number): HostBatch[] =>
  Array.from({ length: COUNT }, (_, index) => ({
    x: values([ROWS, 4], seed + 2 * index),
    y: values([ROWS, 2], seed + 2 * index + 1),
  }));

/** All rows in one batch. */
function joined(parts: readonly HostBatch[]): HostBatch {
  const of = (key: 'x' | 'y'): HostTensor => ({
    shape: [ROWS * COUNT, parts[0]![key].shape[1]!],
    data: Float32Array.from(parts.flatMap((part) => [...part[key].data])),
  });
  return { x: of('x'), y: of('y') };
}

const open = (rows: number, options: OptimizerOptions & { accumulate?: boolean }): Promise<TrainingStep<Params, Batch>> =>
  compileTrainingStep(loss, { params: START as never, batch: { x: { shape: [rows, 4] }, y: { shape: [rows, 2] } }, ...options });

beforeAll(async () => {
  await tf.setBackend('cpu');
});

it.each<{ name: string; options: OptimizerOptions }>([
  { name: 'plain', options: {} },
  { name: 'clipped by the norm of the mean', options: { clipNorm: 0.05, weightDecay: 0.2, rateScale: () => 0.5 } },
])('k batches are the step of one batch with all their rows, $name', async ({ options }) => {
  using parts = await open(ROWS, { ...options, accumulate: true });
  using whole = await open(ROWS * COUNT, options);
  for (const seed of [10, 30, 50]) {
    const report = await parts.runAccumulated(batches(seed), { learningRate: 0.05 });
    const expected = await whole.run(joined(batches(seed)), { learningRate: 0.05 });
    expect(report.loss).toBeCloseTo(expected.loss, 6);
    expect(report.gradientNorm).toBeCloseTo(expected.gradientNorm, 6);
    expect(report.metrics['absolute']).toBeCloseTo(expected.metrics['absolute']!, 6);
  }
  const [ours, theirs] = await Promise.all([parts.state(), whole.state()]);
  expect(ours.steps).toBe(3);
  for (const kind of ['params', 'first', 'second'] as const) {
    const wanted = flattenTree<HostTensor>(theirs[kind]);
    for (const [index, { leaf }] of flattenTree<HostTensor>(ours[kind]).entries())
      expect(leaf.data).toBeAllclose(wanted[index]!.leaf.data as Float32Array, 1e-5);
  }
});

it('one batch in two graphs is the step of one graph', async () => {
  using two = await open(ROWS, { clipNorm: 0.1, accumulate: true });
  using one = await open(ROWS, { clipNorm: 0.1 });
  for (const batch of batches(10)) {
    const expected = await one.run(batch, { learningRate: 0.05 });
    expect(await two.run(batch, { learningRate: 0.05 })).toEqual(expected);
  }
  expect(await two.state()).toEqual(await one.state());
});

it('skips the whole step where one batch is not finite, whichever, and starts the next one anew', async () => {
  using step = await open(ROWS, { accumulate: true });
  using other = await open(ROWS, { accumulate: true });
  await step.runAccumulated(batches(10), { learningRate: 0.05 });
  await other.runAccumulated(batches(10), { learningRate: 0.05 });
  const before = await step.state();
  for (const [place, bad] of [
    [0, Number.NaN],
    [COUNT - 1, Number.POSITIVE_INFINITY],
    [1, 1e38],
  ] as const) {
    const broken = batches(30).map((batch, index) =>
      index === place ? { ...batch, y: { shape: [ROWS, 2], data: new Float32Array(ROWS * 2).fill(bad) } } : batch,
    );
    expect(await step.runAccumulated(broken, { learningRate: 0.05 })).toMatchObject({ skipped: true });
    expect(await step.state()).toEqual(before);
  }
  expect(await step.runAccumulated(batches(30), { learningRate: 0.05 })).toEqual(
    await other.runAccumulated(batches(30), { learningRate: 0.05 }),
  );
  expect(await step.state()).toEqual(await other.state());
});

it('starts anew after an abort between two batches', async () => {
  using step = await open(ROWS, { accumulate: true });
  using other = await open(ROWS, { accumulate: true });
  const stop = new AbortController();
  const list = batches(10);
  const aborting = [list[0]!, { ...list[1]!, get x() { stop.abort(); return list[1]!.x; } }, ...list.slice(2)]; // prettier-ignore
  await expect(step.runAccumulated(aborting, { learningRate: 0.05, abortSignal: stop.signal })).rejects.toThrow('aborted');
  expect(step.steps).toBe(0);
  expect(await step.state()).toEqual(await other.state());
  const report = await step.runAccumulated(list, { learningRate: 0.05 });
  expect(report).toEqual(await other.runAccumulated(list, { learningRate: 0.05 }));
});

it('goes on from a state, of a step in one graph too', async () => {
  using whole = await open(ROWS, {});
  using resumed = await open(ROWS, { accumulate: true });
  for (const batch of batches(10)) await whole.run(batch, { learningRate: 0.05 });
  resumed.restore(await whole.state());
  const [batch] = batches(30);
  expect(await resumed.run(batch!, { learningRate: 0.05 })).toEqual(await whole.run(batch!, { learningRate: 0.05 }));
});

it('says how to take more than one batch', async () => {
  using step = await open(ROWS, {});
  await expect(step.runAccumulated(batches(10), { learningRate: 0 })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[InputError: training step: runAccumulated got 4 batches, expected one. Compile the step with \`accumulate: true\` for more.]`,
  );
  await expect(step.runAccumulated([], { learningRate: 0 })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[InputError: training step: runAccumulated got 0 batches, expected at least one. Pass a batch.]`,
  );
});
