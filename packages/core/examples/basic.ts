// node packages/core/examples/basic.ts
import '@tensorflow/tfjs-backend-wasm';
import {
  type Described,
  gelu,
  layerNorm,
  type LayerNormParams,
  linear,
  type LinearParams,
  ParameterBlock,
  randomWeights,
  runBlocks,
  WeightBudget,
  WeightReader,
} from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';

interface BlockParams {
  readonly norm: LayerNormParams;
  readonly linear: LinearParams;
}

/** Where each block's weights are found: names and shapes, checked together. */
function describeBlock(reader: WeightReader, index: number, width: number): Described<BlockParams> {
  const take = (name: string, shape: number[]) => reader.take(`${index}.${name}`, shape);
  return {
    norm: { weight: take('norm.weight', [width]), bias: take('norm.bias', [width]) },
    linear: { weight: take('linear.weight', [width, width]), bias: take('linear.bias', [width]) },
  };
}

await tf.setBackend('wasm');
const describe = (reader: WeightReader) => [0, 1, 2, 3].map((index) => describeBlock(reader, index, 256));
const budget = new WeightBudget(600_000); // bytes: two blocks stay in memory, two are read when they are used
const trees = describe(new WeightReader(randomWeights(describe, { seed: 1 }), 'four blocks'));
const blocks = trees.map((tree, index) => new ParameterBlock<BlockParams>(`block ${index}`, tree, budget));
const output = await runBlocks(blocks, tf.ones([1, 3, 256]), (params, x) =>
  tf.add(x, gelu(linear(params.linear, layerNorm(params.norm, x, 1e-6)))),
);
console.log(blocks.map(({ name, resident }) => `${name}: ${resident ? 'resident' : 'streamed'}`).join(', '), output.shape);
