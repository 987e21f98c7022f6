import { linear, type LinearParams, weightFromValues } from '@blip2/core';
import type { Described, HostTensor } from '@blip2/core';
import type * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildGraph } from '../build-graph.ts';
import { observeProducts } from '../passes/observe-products.ts';
import type { QuantizationPolicy } from '../passes/place-weights.ts';
import { placeGraph } from '../place-graph.ts';
import { createNodeRuntime, type NodeRuntime } from '../runtime/node-runtime.ts';
import type { TracedGraph } from '../trace/graph-builder.ts';
import { MemoryWeightStore } from '../weights/memory-weight-store.ts';
import { testBlocks, testRows, WIDTH } from './outlier-test-model.ts';
import { blocksOf } from './policy.ts';
import { INTEGER_FORMS, predictErrors, type ProductForm, weightStatistics } from './predict-error.ts';

let runtime: NodeRuntime;
beforeAll(async () => {
  runtime = await createNodeRuntime();
});
afterAll(() => runtime.dispose());

async function run(graph: TracedGraph, policy: QuantizationPolicy, x: HostTensor): Promise<Float32Array[]> {
  const ready = await placeGraph(new MemoryWeightStore(), graph, policy, { name: 'product' });
  const session = await runtime.createSession(ready.graph, ready.settings);
  const results = await session.run([x]);
  const values = await Promise.all(results.map(async (one) => Float32Array.from(await one.data())));
  for (const one of results) one.dispose();
  await session.dispose();
  return values;
}

/** Relative errors of a product, predicted and measured, by form. */
async function errorsOf(params: Described<LinearParams>, x: HostTensor): Promise<Map<ProductForm, [number, number, number]>> {
  const product = ({ x: rows }: { x: tf.Tensor2D }, weights: LinearParams): tf.Tensor2D => linear(weights, rows);
  const { graph } = buildGraph(product, { x: { shape: ['rows', WIDTH] } }, params);
  const observed = observeProducts(graph, () => true, 128);
  const [exact, ...values] = await run(observed.graph, () => undefined, x);
  const [seen] = observed.read(values);
  const matrix = weightStatistics((await params.weight.read()) as Float32Array, seen!.exponents, 128);
  const predicted = predictErrors(seen!, matrix, 128);
  const bias = (await params.bias!.read()) as Float32Array;
  const errors = new Map<ProductForm, [number, number, number]>();
  for (const form of INTEGER_FORMS) {
    const scaling = form.startsWith('scaled') ? { inputExponents: seen!.exponents } : {};
    const policy: QuantizationPolicy = () =>
      form.endsWith('blocks') ? { ...blocksOf(8), ...scaling } : { kind: 'columns', ...scaling };
    const [rounded] = await run(graph, policy, x);
    const rows = relativeErrors(rounded!, exact!, bias);
    const mean = Math.sqrt(rows.reduce((sum, one) => sum + one, 0) / rows.length);
    errors.set(form, [predicted[form].results, mean, predicted[form].worstRow / Math.sqrt(Math.max(...rows))]);
  }
  return errors;
}

/** ‖ŷ − y‖² / ‖y‖² of each row, without bias. */
function relativeErrors(rounded: Float32Array, exact: Float32Array, bias: Float32Array): number[] {
  return Array.from({ length: exact.length / bias.length }, (_, row) => {
    let [difference, energy] = [0, 0];
    for (const [output, shift] of bias.entries()) {
      const value = exact[row * bias.length + output]!;
      difference += (rounded[row * bias.length + output]! - value) ** 2;
      energy += (value - shift) ** 2;
    }
    return difference / energy;
  });
}

it('is what the products of ONNX Runtime have, in every form', async () => {
  const [{ inner }] = testBlocks() as [ReturnType<typeof testBlocks>[0]];
  for (const [form, [predicted, measured, worst]] of await errorsOf(inner, testRows(40))) {
    expect(predicted / measured, form).toBeGreaterThan(0.9);
    expect(predicted / measured, form).toBeLessThan(1.1);
    expect(worst, form).toBeGreaterThan(0.8);
    expect(worst, form).toBeLessThan(1.25);
  }
});

it('is so with outliers, which make the forms differ', async () => {
  const rows = testRows(40);
  for (let row = 0; row < 40; row++) rows.data[row * WIDTH + 7]! *= 100;
  const [{ inner }] = testBlocks() as [ReturnType<typeof testBlocks>[0]];
  const weight = (await inner.weight.read()) as Float32Array;
  for (let output = 0; output < 512; output++) weight[output * WIDTH + 7]! /= 100;
  const errors = await errorsOf({ ...inner, weight: weightFromValues('inner', [512, WIDTH], weight) }, rows);
  for (const [form, [predicted, measured]] of errors) {
    expect(predicted / measured, form).toBeGreaterThan(0.85);
    expect(predicted / measured, form).toBeLessThan(1.3);
  }
  expect(errors.get('rows')![1]).toBeGreaterThan(20 * errors.get('scaled rows')![1]);
  expect(errors.get('blocks')![1]).toBeGreaterThan(10 * errors.get('scaled blocks')![1]);
});

it('counts what weights lose', () => {
  // Each output's largest weight is 1: rounded to 127 steps, the error of the others is uniform.
  const values = Float32Array.from({ length: 64 * 128 }, (_, index) => (index % 128 === 0 ? 1 : ((index * 37) % 101) / 101));
  const zeros = Array.from({ length: 128 }, () => 0);
  const { plain } = weightStatistics(values, zeros, 128);
  expect([plain.range, plain.blockRanges[0]]).toEqual([64, 64]);
  const energy = values.reduce((sum, value) => sum + value * value, 0);
  expect(plain.blockEnergy[0]! / energy).toBeCloseTo(1, 5);
});
