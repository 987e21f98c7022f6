import { describe, expect, it } from 'vitest';
import type { OnnxInitializer } from '../onnx/graph.ts';
import { writeModel } from '../onnx/write-model.ts';
import { createNodeRuntime } from '../runtime/node-runtime.ts';
import { graphOf, node, value } from '../runtime/runtime-test-support.ts';
import { prepareForWebGpu, webGpuOptions } from './prepare-for-webgpu.ts';

describe('prepareForWebGpu', () => {
  it('keeps what WebGPU computes wrongly on the processor, and nothing else', () => {
    const two: OnnxInitializer = { name: 'two', type: 'float32', shape: [], bytes: new Uint8Array(Float32Array.of(2).buffer) };
    const nodes = [
      node('ConvTranspose', ['x', 'w'], ['a'], { attributes: { group: 2 } }),
      node('ConvTranspose', ['x', 'w'], ['b'], { attributes: { group: 1 } }),
      node('ConvTranspose', ['x', 'w'], ['c']),
      node('MaxPool', ['x'], ['d', 'places']),
      node('MaxPool', ['x'], ['e']),
      node('Pow', ['x', 'w'], ['f']),
      node('Pow', ['x', 'two'], ['g']),
      node('MatMul', ['x', 'w'], ['h']),
      node('ConvTranspose', ['x', 'w'], ['i'], { attributes: { strides: [1, 1, 1] } }),
    ];
    const prepared = prepareForWebGpu(graphOf([value('x', [1]), value('w', [1])], nodes, [], [two]));
    const kept = prepared.nodes.filter(({ name }) => name !== undefined);
    expect(kept.map(({ outputs }) => outputs[0])).toEqual(['a', 'd', 'f', 'i']);
    expect(webGpuOptions(writeModel(prepared))).toEqual({ name: 'webgpu', forceCpuNodeNames: kept.map(({ name }) => name) });
    expect(webGpuOptions(writeModel(graphOf([], [], [])))).toEqual({ name: 'webgpu' });
    expect(prepared.nodes).toHaveLength(nodes.length);
  });

  it('computes with tables in 16 bits and with float64 on the processor', () => {
    const tables = (['float16', 'bfloat16', 'float32'] as const).map((type): OnnxInitializer => {
      return { name: type, type, shape: [1, 2], bytes: new Uint8Array(type === 'float32' ? 8 : 4) };
    });
    const nodes = [
      ...tables.flatMap(({ name }) => [
        node('Gather', [name, 'x'], [`${name}.rows`]),
        node('Cast', [`${name}.rows`], [`${name}.numbers`], { attributes: { to: 1 } }),
        node('Neg', [`${name}.numbers`], [`${name}.negative`]),
      ]),
      node('Cast', ['x'], ['a'], { attributes: { to: 11 } }),
      node('Floor', ['a'], ['b']),
      node('Cast', ['b'], ['c'], { attributes: { to: 6 } }),
      node('Neg', ['c'], ['d']),
    ];
    const prepared = prepareForWebGpu(graphOf([value('x', [1], 'int32')], nodes, [], tables));
    const kept = prepared.nodes.filter(({ name }) => name !== undefined).map(({ outputs }) => outputs[0]);
    expect(kept).toEqual(['float16.rows', 'float16.numbers', 'bfloat16.rows', 'bfloat16.numbers', 'a', 'b', 'c']);
  });

  it('has the logarithm of softmax in steps', async () => {
    const graph = graphOf(
      [value('x', ['rows', 3])],
      [node('LogSoftmax', ['x'], ['y'], { attributes: { axis: -1 } })],
      [value('y', ['rows', 3])],
    );
    const runtime = await createNodeRuntime({ threads: 1 });
    const x = { shape: [2, 3], data: Float32Array.of(1, -2, 300, -0.5, 0, 0.5) };
    const results: number[][] = [];
    for (const one of [graph, prepareForWebGpu(graph)]) {
      const session = await runtime.createSession(one, { name: 'log softmax' });
      const [y] = await session.run([x]);
      results.push([...(await y!.data())]);
      y!.dispose();
      await session.dispose();
    }
    expect(prepareForWebGpu(graph).nodes.map(({ operator }) => operator)).not.toContain('LogSoftmax');
    expect(Float32Array.from(results[1]!)).toBeAllclose(Float32Array.from(results[0]!), 1e-6);
    runtime.dispose();
  });
});
