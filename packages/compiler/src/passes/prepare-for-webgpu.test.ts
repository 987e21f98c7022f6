import { describe, expect, it } from 'vitest';
import type { OnnxInitializer } from '../onnx/graph.ts';
import { writeModel } from '../onnx/write-model.ts';
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
});
