import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs';
import type { HostTensor } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { compileTrainingStep } from '../node.ts';
import { flattenTree, mapTree } from '../tree.ts';
import { adamWDefaults, adamWSchedule } from './adamw.ts';
import { type LossFunction, type OptimizerOptions, type StepInputs, trainingFunction } from './training-function.ts';

interface Params {
  readonly hidden: { readonly weight: tf.Tensor2D; readonly bias: tf.Tensor1D };
  readonly output: { readonly weight: tf.Tensor2D };
}

interface Batch {
  readonly x: tf.Tensor2D;
  readonly y: tf.Tensor2D;
}

/** The same weight is used twice, so its gradient is a sum. */
const loss: LossFunction<Params, Batch, unknown> = ({ hidden, output }, { x, y }) => {
  const once = tf.tanh(tf.add(tf.matMul(x, hidden.weight), hidden.bias)) as tf.Tensor2D;
  const twice = tf.tanh(tf.add(tf.matMul(once, hidden.weight), hidden.bias)) as tf.Tensor2D;
  const error = tf.sub(tf.matMul(twice, output.weight), y);
  return { loss: tf.mean(tf.square(error)) as tf.Scalar, largest: tf.max(tf.abs(error)) as tf.Scalar };
};

function values(shape: number[], seed: number): HostTensor {
  return { shape, data: tf.randomNormal(shape, 0, 0.5, 'float32', seed).dataSync() as Float32Array };
}

const start = { hidden: { weight: values([4, 4], 1), bias: values([4], 2) }, output: { weight: values([4, 2], 3) } };
const batch = { x: values([6, 4], 4), y: values([6, 2], 5) };
const specs = { x: { shape: [6, 4] }, y: { shape: [6, 2] } };

const toTensors = <Tree>(tree: unknown): Tree =>
  mapTree(tree, (leaf) => tf.tensor((leaf as HostTensor).data, [...(leaf as HostTensor).shape])) as Tree;

/** The same steps by tfjs. */
function eagerSteps(options: OptimizerOptions, count: number): { losses: number[]; norms: number[]; params: Params } {
  const step = trainingFunction(loss, options);
  let [params, first, second] = [toTensors<Params>(start), zeros(), zeros()];
  const [losses, norms]: [number[], number[]] = [[], []];
  for (let index = 1; index <= count; index++) {
    const numbers = adamWSchedule(adamWDefaults(options), index, 0.05);
    const scalars = Object.fromEntries(Object.entries(numbers).map(([key, value]) => [key, tf.scalar(value)]));
    const next = step(
      { params, first, second, batch: toTensors<Batch>(batch), step: scalars } as unknown as StepInputs<Params, Batch>,
      {},
    );
    losses.push(next.metrics.loss.dataSync()[0]!);
    norms.push(next.gradientNorm.dataSync()[0]!);
    ({ params, first, second } = next);
  }
  return { losses, norms, params };
}

function zeros(): Params {
  return mapTree(start, (leaf) => tf.zeros([...(leaf as HostTensor).shape])) as Params;
}

beforeAll(async () => {
  await tf.setBackend('cpu');
});

describe.each<{ name: string; options: OptimizerOptions }>([
  { name: 'plain', options: {} },
  { name: 'clipped', options: { clipNorm: 0.1, weightDecay: 0.2 } },
  { name: 'decaying everything', options: { decays: () => true, weightDecay: 0.5, betas: [0.8, 0.9], epsilon: 1e-4 } },
])('compileTrainingStep, $name', ({ options }) => {
  it('takes the same steps as tfjs', async () => {
    const expected = eagerSteps(options, 5);
    using step = await compileTrainingStep(loss, { params: start as never, batch: specs, ...options });
    for (let index = 0; index < 5; index++) {
      const report = await step.run(batch, { learningRate: 0.05 });
      expect(report.loss).toBeCloseTo(expected.losses[index]!, 5);
      expect(report.gradientNorm).toBeCloseTo(expected.norms[index]!, 5);
      expect(Object.keys(report.metrics)).toEqual(['largest']);
    }
    const { params, steps } = await step.state();
    expect(steps).toBe(5);
    const wanted = flattenTree<tf.Tensor>(expected.params);
    for (const [index, { leaf }] of flattenTree<HostTensor>(params).entries()) {
      expect(leaf.data).toBeAllclose(wanted[index]!.leaf.dataSync() as Float32Array, 1e-5);
    }
  });
});

it('compiles without leaving tensors behind', async () => {
  const before = tf.memory().numTensors;
  (await compileTrainingStep(loss, { params: start as never, batch: specs })).dispose();
  expect(tf.memory().numTensors).toBe(before);
});

it('leaves everything as it is where a number is not finite, and goes on after it', async () => {
  using step = await compileTrainingStep(loss, { params: start as never, batch: specs, clipNorm: 1 });
  await step.run(batch, { learningRate: 0.05 });
  const before = await step.state();
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, 1e38]) {
    const broken = { ...batch, y: { shape: [6, 2], data: new Float32Array(12).fill(bad) } };
    const { skipped } = await step.run(broken, { learningRate: 0.05 });
    expect(skipped).toBe(true);
    expect(await step.state()).toEqual(before);
  }
  expect(await step.run(batch, { learningRate: 0.05 })).toMatchObject({ skipped: false });
  expect(step.steps).toBe(2);
});

it('scales the learning rate of a parameter, its decay included', async () => {
  const half = { learningRate: 0.025 };
  using scaled = await compileTrainingStep(loss, {
    params: start as never,
    batch: specs,
    rateScale: (path) => (path.startsWith('hidden') ? 0.5 : 1),
  });
  using slow = await compileTrainingStep(loss, { params: start as never, batch: specs });
  using fast = await compileTrainingStep(loss, { params: start as never, batch: specs });
  await Promise.all([scaled.run(batch, { learningRate: 0.05 }), slow.run(batch, half), fast.run(batch, { learningRate: 0.05 })]);
  const states = await Promise.all([scaled, slow, fast].map((step) => step.state()));
  const [ours, halved, whole] = states.map(({ params }) => params as Record<'hidden' | 'output', { weight: HostTensor }>);
  expect(ours!.hidden.weight.data).toBeAllclose(halved!.hidden.weight.data as Float32Array, 1e-7);
  expect(ours!.output.weight.data).toBeAllclose(whole!.output.weight.data as Float32Array, 1e-7);
  expect(ours!.hidden.weight.data).not.toEqual(whole!.hidden.weight.data);
});

it('goes on from a state as if it had never stopped', async () => {
  using whole = await compileTrainingStep(loss, { params: start as never, batch: specs });
  using resumed = await compileTrainingStep(loss, { params: start as never, batch: specs });
  for (let index = 0; index < 3; index++) await whole.run(batch, { learningRate: 0.05 });
  resumed.restore(await whole.state());
  expect(await resumed.run(batch, { learningRate: 0.05 })).toEqual(await whole.run(batch, { learningRate: 0.05 }));
  expect(await resumed.state()).toEqual(await whole.state());
});

it('refuses a state of another model and stays as it was', async () => {
  using step = await compileTrainingStep(loss, { params: start as never, batch: specs });
  const state = await step.state();
  const other = { ...state, second: { ...state.second, output: { weight: values([4, 3], 1) } } };
  expect(() => step.restore(other as never)).toThrowErrorMatchingInlineSnapshot(
    `[InputError: restore: second.output.weight is [4, 3], expected [4, 2]. Restore a state of the same model, as state() gave it.]`,
  );
  expect(await step.state()).toEqual(state);
});

it('a state that was read does not change with later steps', async () => {
  using step = await compileTrainingStep(loss, { params: start as never, batch: specs });
  const before = await step.state();
  const copy = structuredClone(before);
  await step.run(batch, { learningRate: 0.05 });
  expect(before).toEqual(copy);
  expect((await step.state()).params).not.toEqual(copy.params);
});
