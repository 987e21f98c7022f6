import '@tensorflow/tfjs-backend-cpu';
import { dropoutFrom, seededRandom } from '@blip2/core';
import { spread } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, it } from 'vitest';
import { buildGraph } from '../build-graph.ts';
import { compile } from '../node.ts';

interface Inputs {
  readonly x: tf.Tensor3D; //                    [2, 3, 4]
  readonly y: tf.Tensor2D; //                    [5, 6]
  readonly dy: tf.Tensor3D; //                   as x
  readonly pool: tf.Tensor1D; //                 [50]
}

const SPECS = { x: { shape: [2, 3, 4] }, y: { shape: [5, 6] }, dy: { shape: [2, 3, 4] }, pool: { shape: [50] } };

/** Three calls of one dropout, and the gradient of a fourth and fifth. */
function dropThrice({ x, y, dy, pool }: Inputs) {
  const dropout = dropoutFrom(pool, 0.3);
  const values = [dropout(x), dropout(y), dropout(x)];
  return { values, gradient: tf.grad((value) => dropout(dropout(value)))(x, dy) };
}

beforeAll(async () => {
  await tf.setBackend('cpu');
});

it('a compiled graph drops what tfjs drops, forward and backward, to the bit', async () => {
  const random = seededRandom(3);
  const pool = tf.tensor1d(Float32Array.from({ length: 50 }, () => random()));
  const inputs: Inputs = {
    x: spread<tf.Rank.R3>([2, 3, 4], 1),
    y: spread<tf.Rank.R2>([5, 6], 2),
    dy: spread<tf.Rank.R3>([2, 3, 4], 3),
    pool,
  };
  using compiled = await compile(dropThrice, { inputs: SPECS });
  const outputs = await compiled.run(inputs);
  const expected = dropThrice(inputs);
  for (const [index, tensor] of expected.values.entries()) {
    expect(await outputs.values[index]!.data()).toEqual(tensor.dataSync());
  }
  expect(await outputs.gradient.data()).toEqual(expected.gradient.dataSync());
  expect(expected.values[0]!.dataSync()).not.toEqual(expected.values[2]!.dataSync());
  for (const tensor of [...outputs.values, outputs.gradient]) tensor.dispose();
});

it('is seven small nodes in a graph, with one mask for the value and its gradient', () => {
  const once = ({ x, dy, pool }: Inputs) => tf.valueAndGrad((value: tf.Tensor) => dropoutFrom(pool, 0.3)(value))(x, dy);
  const { graph } = buildGraph(once as never, SPECS, {});
  expect(graph.nodes.map(({ operator }) => operator).join(' ')).toMatchInlineSnapshot(
    `"Slice GreaterOrEqual Reshape Cast Mul Mul Mul"`,
  );
});
