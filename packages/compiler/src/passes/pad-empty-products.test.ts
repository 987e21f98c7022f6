import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { attend } from '@blip2/core';
import type { Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildGraph } from '../build-graph.ts';
import type { OnnxGraph } from '../onnx/graph.ts';
import { createNodeRuntime, type NodeRuntime } from '../runtime/node-runtime.ts';
import { padEmptyProducts } from './pad-empty-products.ts';

let runtime: NodeRuntime;
beforeAll(async () => {
  runtime = await createNodeRuntime({ threads: 1 });
});
afterAll(() => runtime.dispose());

interface Inputs {
  readonly a: Tensor3D;
  readonly b: Tensor3D;
}

const product = ({ a, b }: Inputs): tf.Tensor => tf.matMul(a, b);
const graphOf = (compute: unknown, specs: unknown): OnnxGraph => {
  const { nodes, constants, inputs, outputs } = buildGraph(compute as never, specs, {}).graph;
  return { name: 'product', nodes, initializers: constants, inputs, outputs };
};
const graphFor = (inner: string | number): OnnxGraph => {
  return graphOf(product, { a: { shape: [2, 'rows', inner] }, b: { shape: [2, inner, 3] } });
};
const paddings = (graph: OnnxGraph): number => padEmptyProducts(graph).nodes.filter(({ operator }) => operator === 'Pad').length;

describe('padEmptyProducts', () => {
  it.each([0, 1, 3, 8])('changes no product, also over an axis of %i', async (inner) => {
    const padded = padEmptyProducts(graphFor('inner'));
    const session = await runtime.createSession(padded, { name: 'product' });
    const a = { shape: [2, 2, inner], data: Float32Array.from({ length: 4 * inner }, (_, index) => index + 1) };
    const b = { shape: [2, inner, 3], data: Float32Array.from({ length: 6 * inner }, (_, index) => 1 / (index + 1)) };
    const [result] = await session.run([a, b]);
    const expected = tf.tidy(() =>
      tf
        .matMul(tf.tensor3d(a.data, [2, 2, inner]), tf.tensor3d(b.data, [2, inner, 3]))
        .dataSync()
        .slice(),
    );
    expect(await result!.data()).toBeAllclose(expected, 1e-6);
    result!.dispose();
    await session.dispose();
  });

  it('goes together with transpositions', async () => {
    const turned = ({ a, b }: Inputs): tf.Tensor => tf.matMul(a, b, true, true);
    const graph = padEmptyProducts(graphOf(turned, { a: { shape: [2, 'inner', 4] }, b: { shape: [1, 3, 'inner'] } }));
    const session = await runtime.createSession(graph, { name: 'product' });
    const a = { shape: [2, 5, 4], data: Float32Array.from({ length: 40 }, (_, index) => index) };
    const b = { shape: [1, 3, 5], data: Float32Array.from({ length: 15 }, (_, index) => 1 / (index + 1)) };
    const [result] = await session.run([a, b]);
    const expected = tf.tidy(() =>
      tf
        .matMul(tf.tensor3d(a.data, [2, 5, 4]), tf.tensor3d(b.data, [1, 3, 5]), true, true)
        .dataSync()
        .slice(),
    );
    expect(await result!.data()).toBeAllclose(expected, 1e-6);
    result!.dispose();
    await session.dispose();
  });

  it('leaves products alone whose inner axis is never empty', () => {
    expect(paddings(graphFor('inner'))).toBe(2);
    expect(paddings(graphFor('past + inner'))).toBe(2);
    expect(paddings(graphFor('1 + inner'))).toBe(0);
    expect(paddings(graphFor(7))).toBe(0);
    expect(paddings(graphFor(0))).toBe(2);
  });

  it('knows how many keys an attention has', () => {
    const compute = ({ query, key }: { query: Tensor4D; key: Tensor4D }): tf.Tensor => attend(query, key, key, { scale: 1 });
    const inputs = { query: { shape: [1, 1, 'queries', 4] }, key: { shape: [1, 1, 'keys', 4] } };
    expect(paddings(graphOf(compute, inputs))).toBe(2);
  });
});
