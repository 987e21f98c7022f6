import { embed, FUSED_KERNELS, type Weight } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { type Compute, floats, hostInputs } from './cases/case-inputs.ts';
import type { TracedGraph } from '../graph-builder.ts';
import { trace } from '../trace.ts';
import { KERNEL_GROUPS } from './index.ts';
import { compileFor, runEagerly } from './kernel-test-support.ts';

type Pair = { a: Tensor; b: Tensor };
type Convolved = { x: Tensor; filter: Tensor };

/** Compiles a function of float32 tensors. */
const compile = (compute: Compute, shapes: Readonly<Record<string, readonly number[]>>): ReturnType<typeof compileFor> =>
  compileFor(
    compute,
    Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, { shape, dtype: 'float32' as const }])),
  );

async function operatorsOf(compute: Compute, shapes: Readonly<Record<string, readonly number[]>>): Promise<string[]> {
  await using compiled = await compile(compute, shapes);
  return compiled.graph.nodes.map(({ operator }) => operator);
}

describe('a product becomes', () => {
  it('one Gemm for matrices, transposed or not, also when gradients ask for it', async () => {
    expect(await operatorsOf(({ a, b }: Pair) => tf.matMul(a, b, false, true), { a: [4, 3], b: [5, 3] })).toEqual(['Gemm']);
    expect(await operatorsOf(({ a, b }: Pair) => tf.matMul(a, b, true), { a: [3, 4], b: [3, 5] })).toEqual(['Gemm']);
    const weightGradient = ({ a, b }: Pair): Tensor => tf.grad((w) => tf.sum(tf.matMul(a, w, false, true)))(b);
    const operators = await operatorsOf(weightGradient, { a: [4, 3], b: [5, 3] });
    expect(operators.filter((one) => /Gemm|MatMul|Transpose/.test(one))).toEqual(['Gemm']);
  });

  it('one Gemm for a batch of rows that meet one matrix', async () => {
    const operators = await operatorsOf(({ a, b }: Pair) => tf.matMul(a, b, false, true), { a: [2, 4, 3], b: [5, 3] });
    expect(operators).toEqual(['Reshape', 'Gemm', 'Reshape']);
  });

  it('a MatMul for batches, with a Transpose that ONNX Runtime takes into it', async () => {
    const operators = await operatorsOf(({ a, b }: Pair) => tf.matMul(a, b, false, true), { a: [2, 4, 3], b: [2, 5, 3] });
    expect(operators).toEqual(['Transpose', 'MatMul']);
  });

  it('an error when the inner axes differ', () => {
    const multiply = ({ a, b }: Pair): Tensor => tf.matMul(a, b, false, true);
    expect(() => compile(multiply, { a: [4, 3], b: [3, 5] })).toThrow(
      /multiplies \[4, 3\] by \[3, 5\] transposed, whose inner axes are 3 and 5, expected equal ones/,
    );
  });
});

describe('an arrangement is an error', () => {
  it('when a reshape changes the number of elements', () => {
    expect(() => compile(({ a }: Pair) => tf.reshape(a, [4, 2]), { a: [3, 2] })).toThrow(
      /reshapes a tensor of shape \[3, 2\], 6 elements, to \[4, 2\], expected as many/,
    );
  });

  it('when depth becomes space in NCHW', () => {
    const channelsFirst = ({ a }: Pair): Tensor => tf.depthToSpace(a as Tensor4D, 2, 'NCHW');
    expect(() => compile(channelsFirst, { a: [1, 4, 2, 2] })).toThrow(/'DepthToSpace' with NCHW/);
  });

  it('when tfjs takes the height of a window for its width', () => {
    const convolve = ({ x, filter }: Convolved): Tensor => tf.conv2d(x as Tensor4D, filter as Tensor4D, [3, 2], 1);
    expect(() => compile(convolve, { x: [1, 8, 6, 2], filter: [3, 2, 2, 3] })).toThrow(
      /'Conv2D' with a padding by number and windows of 3×2, which cannot be compiled. Pad with tf.pad/,
    );
  });
});

describe('a weight by reference', () => {
  const fail = (): never => {
    throw new Error('a trace reads no weight');
  };
  const location = { file: 'model.safetensors', byteOffset: 8, byteLength: 60 };
  const table: Weight = { name: 'table', dtype: 'BF16', shape: [5, 6], location, read: fail, rows: fail };
  const traced = (compute: (params: { table: Tensor2D }, inputs: { ids: Tensor }) => unknown): TracedGraph =>
    trace(compute, { table }, { ids: { shape: [3], dtype: 'int32' } }).graph;

  it('has its rows picked first and converted then', () => {
    const { nodes, weights } = traced((params, { ids }) => tf.gather(params.table, ids as Tensor1D));
    expect(nodes.map(({ operator, inputs }) => [operator, ...inputs])).toEqual([
      ['Gather', 'table', 'ids'],
      ['Cast', 'Gather_0'],
    ]);
    expect(weights).toEqual([{ name: 'table', type: 'bfloat16', weight: table }]);
  });

  it('is not copied where nothing changes it', () => {
    const { nodes } = traced((params) => {
      const same = tf.transpose(tf.cast(tf.clone(params.table), 'float32'), [0, 1]);
      return [tf.matMul(params.table, same, false, true), tf.neg(params.table)];
    });
    expect(nodes.map(({ operator }) => operator).filter((operator) => operator !== 'Cast')).toEqual(['Gemm', 'Neg']);
  });
});

describe('fused operations', () => {
  it('are those of core', () => {
    expect(Object.keys(KERNEL_GROUPS['fused']!).toSorted()).toEqual([...FUSED_KERNELS].toSorted());
  });

  it('include no lookup, which has a kernel name for its gradient only and picks rows', async () => {
    const lookup = ({ table, ids }: { table: Tensor2D; ids: Tensor2D }): Tensor => embed(table, ids);
    const inputs = { table: { shape: [5, 2], dtype: 'float32' }, ids: { shape: [1, 3], dtype: 'int32' } } as const;
    await using compiled = await compileFor(lookup, inputs);
    expect(compiled.graph.nodes.map(({ operator }) => operator)).toEqual(['Gather']);
  });
});

describe.each(['resizeBilinear', 'resizeNearestNeighbor'] as const)('the gradient of %s', (name) => {
  it.each([
    [false, false],
    [true, false],
    [false, true],
  ])('is the transposed resize, for any pictures: corners %s, half pixels %s', async (alignCorners, halfPixelCenters) => {
    const resize = (x: Tensor): Tensor => tf.image[name](x as Tensor4D, [7, 3], alignCorners, halfPixelCenters);
    const inputs = hostInputs({ x: floats([2, 4, 5, 2]), dy: floats([2, 7, 3, 2]) }, new Map(), 1);
    const product = (gradient: Tensor, x: Tensor): Tensor => tf.sum(tf.mul(gradient, x));
    await using compiled = await compileFor(
      ({ x, dy }: { x: Tensor; dy: Tensor }) => product(tf.grad((pixels) => product(resize(pixels), dy))(x), x),
      inputs,
    );
    const [through] = await compiled.run(inputs);
    const [direct] = await runEagerly(({ x, dy }: { x: Tensor; dy: Tensor }) => product(resize(x), dy), inputs);
    expect(through!.data[0]).toBeCloseTo(direct!.data[0]!, 3);
  });
});
