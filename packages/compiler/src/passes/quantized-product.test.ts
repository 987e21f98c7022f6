import { linear, type LinearParams, weightFromValues } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildGraph } from '../build-graph.ts';
import { placeGraph } from '../place-graph.ts';
import { createNodeRuntime, type NodeRuntime } from '../runtime/node-runtime.ts';
import { MemoryWeightStore } from '../weights/memory-weight-store.ts';
import { placeWeights } from './place-weights.ts';
import type { QuantizedForm } from './quantized-product.ts';

let runtime: NodeRuntime;
beforeAll(async () => {
  runtime = await createNodeRuntime();
});
afterAll(() => runtime.dispose());

const values = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, index) => Math.sin(seed * index));
const params = {
  first: { weight: weightFromValues('first', [8, 16], values(128, 1)), bias: weightFromValues('bias', [8], values(8, 2)) },
  second: { weight: weightFromValues('second', [8, 16], values(128, 3)) },
};

/** Two products of the same rows, one with a bias. */
const { graph } = buildGraph(
  ({ x }: { x: tf.Tensor2D }, { first, second }: { first: LinearParams; second: LinearParams }) => [
    linear(first, x),
    linear(second, x),
  ],
  { x: { shape: ['rows', 16] } },
  params,
);

const operators = (form: QuantizedForm): string[] => placeWeights(graph, () => form).nodes.map(({ operator }) => operator);
const exponents = Array.from({ length: 16 }, (_, input) => (input % 3) - 1);

it('changes activations once for all products that share them', () => {
  const rows = ['ReduceMax', 'ReduceMin', 'Neg', 'Max', 'Div'];
  const product = ['DynamicQuantizeMatMul', 'Mul'];
  const isOurs = (operator: string): boolean => !['Reshape', 'Shape', 'Concat'].includes(operator);
  expect(operators({ kind: 'columns' }).filter(isOurs)).toEqual([...rows, ...product, 'Add', ...product]);
  expect(operators({ kind: 'columns', inputExponents: exponents }).filter(isOurs)).toEqual([
    'Mul',
    ...rows,
    ...product,
    'Add',
    ...product,
  ]);
  const blocks = { kind: 'blocks', bits: 8, blockSize: 16 } as const;
  expect(operators({ ...blocks, inputExponents: exponents }).filter(isOurs)).toEqual(['Mul', 'MatMulNBits', 'MatMulNBits']);
});

it.each<{ name: string; form: QuantizedForm }>([
  { name: 'rows', form: { kind: 'columns' } },
  { name: 'scaled rows', form: { kind: 'columns', inputExponents: exponents } },
  { name: 'blocks', form: { kind: 'blocks', bits: 8, blockSize: 16 } },
  { name: 'scaled blocks', form: { kind: 'blocks', bits: 8, blockSize: 16, inputExponents: exponents } },
])('$name have the results of float32, for rows of every size and for zeros', async ({ form }) => {
  const x = values(4 * 16, 5);
  x.subarray(16, 32).fill(0);
  for (let input = 32; input < 48; input++) x[input]! *= 1e6;
  for (let input = 48; input < 64; input++) x[input]! *= 1e-6;
  const run = async (chosen: QuantizedForm | undefined): Promise<Float32Array[]> => {
    const ready = await placeGraph(new MemoryWeightStore(), graph, () => chosen, { name: 'products' });
    const session = await runtime.createSession(ready.graph, ready.settings);
    const results = await session.run([{ shape: [4, 16], data: x }]);
    const data = await Promise.all(results.map(async (one) => Float32Array.from(await one.data())));
    for (const one of results) one.dispose();
    await session.dispose();
    return data;
  };
  const [expected, actual] = [await run(undefined), await run(form)];
  for (const product of [0, 1]) {
    const bias = product === 0 ? ((await params.first.bias.read()) as Float32Array) : new Float32Array(8);
    for (let row = 0; row < 4; row++) {
      const part = (data: Float32Array[]): Float32Array =>
        data[product]!.slice(8 * row, 8 * row + 8).map((value, output) => value - bias[output]!);
      const [right, rounded] = [part(expected), part(actual)];
      const size = Math.hypot(...right);
      // Exponents that the matrix did not ask for cost some of the accuracy. The bias hides the last digits of what is much smaller.
      const error = Math.hypot(...right.map((value, output) => value - rounded[output]!));
      expect(error).toBeLessThanOrEqual(0.08 * size + 1e-6);
    }
  }
});
