import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OnnxGraph } from '../onnx/graph.ts';
import { createNodeRuntime, type NodeRuntime } from './node-runtime.ts';
import { graphOf, GROWING, node, value } from './runtime-test-support.ts';
import type { RuntimeTensor } from './runtime.ts';

/** Chromium's software GPU, for machines without one. */
const SOFTWARE_GPU = ['/usr/lib/chromium/vk_swiftshader_icd.json', '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json'].find(
  existsSync,
);

let runtime: NodeRuntime | undefined;
let reason = '';
beforeAll(async () => {
  if (SOFTWARE_GPU !== undefined) process.env['VK_DRIVER_FILES'] ??= SOFTWARE_GPU;
  try {
    runtime = await createNodeRuntime({ provider: 'webgpu' });
  } catch (cause) {
    reason = `needs a Vulkan driver and libvulkan.so.1 (Debian: chromium or mesa-vulkan-drivers, and libvulkan1): ${String(cause)}`;
  }
});
afterAll(() => runtime?.dispose());

const floats = (shape: number[], ...values: number[]) => ({ shape, data: Float32Array.from(values) });

describe('WebGPU in Node', () => {
  it('computes what the processor computes', async (context) => {
    if (runtime === undefined) return context.skip(reason);
    const width = 96;
    const graph = transformerPiece(width);
    const cpu = await createNodeRuntime();
    const x = { shape: [2, 5, width], data: Float32Array.from({ length: 10 * width }, (_, i) => Math.sin(i)) };
    const results: (Float32Array | Int32Array | Uint8Array)[] = [];
    for (const one of [cpu, runtime]) {
      const session = await one.createSession(graph, { name: 'piece' });
      const [y] = await session.run([x]);
      results.push((await y!.data()).slice());
      y!.dispose();
      await session.dispose();
    }
    expect(results[1]!).toBeAllclose(results[0]!, 1e-4);
    cpu.dispose();
  });

  it('passes results on without bringing them back', async (context) => {
    if (runtime === undefined) return context.skip(reason);
    const session = await runtime.createSession(GROWING, { name: 'cache' });
    let cache: RuntimeTensor = runtime.createTensor(floats([0, 4]));
    for (let step = 0; step < 5; step++) {
      const [grown] = await session.run([cache, floats([1, 4], step, 1, 2, 3)], [{ name: 'grown', shape: [step + 1, 4] }]);
      cache.dispose();
      cache = grown!;
    }
    const expected = Array.from({ length: 5 }, (_, step) => [step, 1, 2, 3]).flat();
    expect([...(await cache.data())]).toEqual(expected);
    const copy = await cache.toTensor();
    expect([copy.shape, [...copy.dataSync()]]).toEqual([[5, 4], expected]);
    copy.dispose();
    // It is still on the GPU, and an input, after it was read.
    const [again] = await session.run([cache, cache], [{ name: 'grown' }]);
    expect(again!.shape).toEqual([10, 4]);
    for (const tensor of [cache, again!]) tensor.dispose();
    await session.dispose();
  });

  it('knows integers, booleans, scalars and empty tensors', async (context) => {
    if (runtime === undefined) return context.skip(reason);
    const graph = graphOf(
      [value('x', ['n'], 'int32')],
      [
        node('Cast', ['x'], ['truth'], { attributes: { to: 9 } }),
        node('Add', ['x', 'x'], ['twice']),
        node('Cast', ['x'], ['float'], { attributes: { to: 1 } }),
        node('ReduceSum', ['float'], ['sum'], { attributes: { keepdims: 0 } }),
      ],
      [value('truth', ['n'], 'bool'), value('twice', ['n'], 'int32'), value('sum', [])],
    );
    const session = await runtime.createSession(graph, { name: 'types' });
    for (const values of [Int32Array.of(3, 0, -4), Int32Array.of()]) {
      const results = await session.run([{ shape: [values.length], data: values }]);
      expect(results.map(({ dtype }) => dtype)).toEqual(['bool', 'int32', 'float32']);
      const [truth, twice, sum] = await Promise.all(results.map((one) => one.data()));
      expect([truth, twice]).toEqual([
        Uint8Array.from(values, (one) => Number(one !== 0)),
        Int32Array.from(values, (one) => 2 * one),
      ]);
      expect([...sum!]).toEqual([values.length === 0 ? 0 : -1]);
      for (const tensor of results) tensor.dispose();
    }
    await session.dispose();
  });

  it('multiplies over an empty axis', async (context) => {
    if (runtime === undefined) return context.skip(reason);
    const inputs = [value('a', [1, 'rows', 'inner']), value('b', [1, 'inner', 2])];
    const product = node('MatMul', ['a', 'b'], ['y'], { product: { inner: 0, ranks: [3, 3] } });
    const session = await runtime.createSession(graphOf(inputs, [product], [value('y', [1, 'rows', 2])]), { name: 'product' });
    for (const [inner, expected] of [
      [0, [0, 0]],
      [2, [7, 10]],
    ] as const) {
      const [y] = await session.run([
        floats([1, 1, inner], ...[1, 2].slice(0, inner)),
        floats([1, inner, 2], ...[1, 2, 3, 4].slice(0, 2 * inner)),
      ]);
      expect([...(await y!.data())]).toEqual(expected);
      y!.dispose();
    }
    await session.dispose();
  });

  it('leaves to the processor what it cannot do', async (context) => {
    if (runtime === undefined) return context.skip(reason);
    const pool = node('MaxPool', ['x'], ['y', 'place'], { attributes: { kernel_shape: [2, 2] } });
    const place = node('Cast', ['place'], ['places'], { attributes: { to: 6 } });
    const outputs = [value('y', [1, 1, 1, 'n']), value('places', [1, 1, 1, 'n'], 'int32')];
    const session = await runtime.createSession(graphOf([value('x', [1, 1, 2, 'n'])], [pool, place], outputs), { name: 'pool' });
    const [y, places] = await session.run([floats([1, 1, 2, 3], 1, 5, 2, 9, 3, 4)]);
    expect([[...(await y!.data())], [...(await places!.data())]]).toEqual([
      [9, 5],
      [3, 1],
    ]);
    for (const tensor of [y!, places!]) tensor.dispose();
    await session.dispose();
  });

  it('gathers rows', async (context) => {
    if (runtime === undefined) return context.skip(reason);
    const session = await runtime.createSession(GROWING, { name: 'rows' });
    const [, negative] = await session.run([floats([0, 4]), floats([3, 4], ...Array.from({ length: 12 }, (_, index) => index))]);
    for (const rows of [[2, 0, 2, 1], [1]]) {
      const gathered = await runtime.gatherRows(negative!, rows);
      expect(gathered.shape).toEqual([rows.length, 4]);
      expect([...(await gathered.data())].map(Math.abs)).toEqual(
        rows.flatMap((row) => [0, 1, 2, 3].map((column) => 4 * row + column)),
      );
      gathered.dispose();
    }
    negative!.dispose();
    await session.dispose();
  });

  it('puts results in the place of tensors', async (context) => {
    if (runtime === undefined) return context.skip(reason);
    const graph = graphOf([value('p', ['n'])], [node('Add', ['p', 'p'], ['next'])], [value('next', ['n'])]);
    const session = await runtime.createSession(graph, { name: 'step' });
    const parameters = runtime.createTensor(floats([2], 1, 5));
    for (let step = 0; step < 3; step++) {
      expect(await session.run([parameters], [{ name: 'next', into: parameters }])).toEqual([parameters]);
      expect([...(await parameters.data())]).toEqual([2 ** (step + 1), 5 * 2 ** (step + 1)]);
    }
    parameters.dispose();
    await session.dispose();
  });
});

/** Layer norm, product, softmax, GELU: what most of a transformer is made of. */
function transformerPiece(width: number): OnnxGraph {
  const matrix = Float32Array.from({ length: width * width }, (_, i) => Math.cos(i * 1.7) / 10);
  const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer);
  return graphOf(
    [value('x', ['batch', 'tokens', width])],
    [
      node('LayerNormalization', ['x', 'ones', 'zeros'], ['normed'], { attributes: { axis: -1, epsilon: { float: 1e-6 } } }),
      node('MatMul', ['normed', 'w'], ['product']),
      node('Transpose', ['product'], ['turned'], { attributes: { perm: [0, 2, 1] } }),
      node('MatMul', ['product', 'turned'], ['scores']),
      node('Softmax', ['scores'], ['attention'], { attributes: { axis: -1 } }),
      node('MatMul', ['attention', 'product'], ['mixed']),
      node('Gelu', ['mixed'], ['y']),
    ],
    [value('y', ['batch', 'tokens', width])],
    [
      { name: 'w', type: 'float32', shape: [width, width], bytes: bytesOf(matrix) },
      { name: 'ones', type: 'float32', shape: [width], bytes: bytesOf(new Float32Array(width).fill(1)) },
      { name: 'zeros', type: 'float32', shape: [width], bytes: bytesOf(new Float32Array(width)) },
    ],
  );
}
