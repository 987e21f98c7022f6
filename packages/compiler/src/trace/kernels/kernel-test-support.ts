// tfjs-core alone knows no gradients; the union package registers them all, and the plain JavaScript backend.
import '@tensorflow/tfjs';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import * as ort from 'onnxruntime-node';
import { buildGraph } from '../../build-graph.ts';
import type { OnnxGraph } from '../../onnx/graph.ts';
import { writeModel } from '../../onnx/write-model.ts';
import { flattenTree, mapTree } from '../../tree.ts';
import type { TracedGraph } from '../graph-builder.ts';
import type { TraceInput } from '../trace.ts';
import type { TracedType } from '../trace-backend.ts';
import type { Compute, HostTensor, InputSpec } from './cases/case-inputs.ts';

/** Named tensors, as the functions under test take them. */
export type Inputs = Readonly<Record<string, Tensor>>;

/** What tfjs's plain JavaScript backend computes, a value for each leaf of the result. */
export async function runEagerly(compute: Compute, inputs: Readonly<Record<string, HostTensor>>): Promise<HostTensor[]> {
  const before = tf.getBackend();
  await tf.setBackend('cpu');
  try {
    return tf.tidy(() => {
      // Copies: some kernels of the plain backend write into their inputs.
      const tensors = mapTree(inputs, (leaf) => toTensor(leaf as HostTensor));
      return flattenTree(compute(tensors as never)).map(({ leaf }) => {
        const tensor = leaf as Tensor;
        return { shape: tensor.shape, dtype: tensor.dtype as TracedType, data: tensor.dataSync().slice() as HostTensor['data'] };
      });
    }) as unknown as HostTensor[];
  } finally {
    await tf.setBackend(before);
  }
}

function toTensor({ data, shape, dtype }: HostTensor): Tensor {
  return tf.tensor(data.slice(), shape.slice(), dtype);
}

/** A compiled function, which runs in ONNX Runtime. */
export interface CompiledGraph extends AsyncDisposable {
  readonly graph: TracedGraph;
  run(inputs: Readonly<Record<string, HostTensor>>): Promise<HostTensor[]>;
}

/** Compiles a function for inputs of exactly these shapes. */
export function compileFor(compute: Compute, inputs: Readonly<Record<string, TraceInput>>): Promise<CompiledGraph> {
  return openSession(buildGraph(compute, inputs, {}).graph);
}

/** Compiles a function for all sizes of the named axes: it is traced at three and the traces are merged. */
export function compileForAnySize(compute: Compute, specs: Readonly<Record<string, InputSpec>>): Promise<CompiledGraph> {
  const entries = Object.entries(specs).map(([name, { axes, dtype }]) => [name, { shape: axes, dtype }] as const);
  return openSession(buildGraph(compute, Object.fromEntries(entries), {}).graph);
}

async function openSession(graph: TracedGraph): Promise<CompiledGraph> {
  const session = await ort.InferenceSession.create(writeModel(toOnnx(graph)), { logSeverityLevel: 3, intraOpNumThreads: 1 });
  return {
    graph,
    async run(inputs) {
      const feeds = Object.fromEntries(
        Object.entries(inputs).map(([name, { dtype, data, shape }]) => [name, new ort.Tensor(dtype, data, shape)]),
      );
      const results = await session.run(feeds);
      return graph.outputs.map(({ name }) => {
        const { dims, type, data } = results[name]!;
        return { shape: dims, dtype: type as TracedType, data: data as HostTensor['data'] };
      });
    },
    async [Symbol.asyncDispose]() {
      await session.release();
    },
  };
}

/** A traced graph without weights as a whole one. */
export function toOnnx({ nodes, constants, inputs, outputs }: TracedGraph): OnnxGraph {
  return { name: 'test', nodes, initializers: constants, inputs, outputs };
}

/**
 * Fails unless shapes, types and values are the same: |a − b| ≤ tolerance · (1 + |b|), not a number where it should be.
 *
 * @param what - For the message.
 */
export function assertSame(
  actual: readonly HostTensor[],
  expected: readonly HostTensor[],
  tolerance: number,
  what: string,
): void {
  if (actual.length !== expected.length) throw new Error(`${what}: ${actual.length} results, expected ${expected.length}`);
  for (const [index, a] of actual.entries()) {
    const b = expected[index]!;
    const [found, wanted] = [a, b].map(({ dtype, shape }) => `${dtype} [${shape.join(', ')}]`);
    if (found !== wanted) throw new Error(`${what}: result ${index} is ${found}, expected ${wanted}`);
    const wrong = b.data.findIndex((value, at) => !isClose(a.data[at]!, value, tolerance));
    if (wrong >= 0) {
      throw new Error(
        `${what}: result ${index} has ${a.data[wrong]} at ${wrong}, expected ${b.data[wrong]}; ${show(a)} against ${show(b)}`,
      );
    }
  }
}

function isClose(a: number, b: number, tolerance: number): boolean {
  return Object.is(a, b) || a === b || Math.abs(a - b) <= tolerance * (1 + Math.abs(b));
}

function show({ shape, data }: HostTensor): string {
  return `[${shape.join(', ')}] ${Array.from(data.subarray(0, 12)).join(', ')}`;
}

/**
 * The function with its gradient: Σ(result · mix) by each of the inputs that are named, after the results themselves.
 * The mix differs from element to element, so a gradient that lands in the wrong place shows.
 */
export function withGradients(compute: Compute, differentiable: readonly string[]): Compute {
  return (inputs: never): unknown => {
    const named = inputs as Inputs;
    const mixed = (...tensors: Tensor[]): Tensor => {
      const changed = Object.fromEntries(differentiable.map((name, index) => [name, tensors[index]!]));
      const results = flattenTree(compute({ ...named, ...changed } as never)).map(({ leaf }) => leaf as Tensor);
      const sums = results
        .filter(({ dtype }) => dtype === 'float32')
        .map((result) => tf.sum(tf.mul(result, mixOf(result.shape))));
      return sums.reduce((total, sum) => tf.add(total, sum));
    };
    return tf.grads(mixed)(differentiable.map((name) => named[name]!));
  };
}

/** Numbers between −1 and 1 that follow from the position, made by operations on each axis so that any size is possible. */
function mixOf(shape: readonly number[]): Tensor {
  const angles = shape.map((size, axis) => {
    const along = tf.mul(tf.range(0, size, 1, 'float32'), 1.7 + axis);
    return tf.reshape(
      along,
      shape.map((_, other) => (other === axis ? size : 1)),
    );
  });
  return tf.sin(angles.reduce((sum, angle) => tf.add(sum, angle), tf.scalar(0.3)));
}
