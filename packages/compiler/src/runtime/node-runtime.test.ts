import { DisposedError, type EngineTensor } from '@blip2/core';
import { expectNoLeak } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OnnxGraph } from '../onnx/graph.ts';
import { createNodeRuntime, loadOnnxRuntime, type NodeRuntime } from './node-runtime.ts';
import { graphOf, GROWING, node, value } from './runtime-test-support.ts';
import type { RuntimeSession, RuntimeTensor } from './runtime.ts';

let runtime: NodeRuntime;
beforeAll(async () => {
  runtime = await createNodeRuntime();
});
afterAll(() => runtime.dispose());

async function withSession(graph: OnnxGraph, use: (session: RuntimeSession) => Promise<void>): Promise<void> {
  const session = await runtime.createSession(graph, { name: 'test graph' });
  try {
    await use(session);
  } finally {
    await session.dispose();
  }
}

const floats = (shape: number[], ...values: number[]) => ({ shape, data: Float32Array.from(values) });

describe('a session', () => {
  it('runs with host values and gives results in the order asked for', async () => {
    await withSession(GROWING, async (session) => {
      expect(session.inputs).toEqual(GROWING.inputs);
      expect(session.outputs).toEqual(GROWING.outputs);
      const inputs = [floats([0, 4]), floats([1, 4], 1, 2, 3, 4)];
      const [grown, negative] = await session.run(inputs);
      expect([grown!.shape, grown!.dtype, [...(await grown!.data())]]).toEqual([[1, 4], 'float32', [1, 2, 3, 4]]);
      expect([negative!.shape, [...(await negative!.data())]]).toEqual([
        [1, 4],
        [-1, -2, -3, -4],
      ]);
      const [only] = await session.run(inputs, [{ name: 'negative', shape: [1, 4] }]);
      expect([...(await only!.data())]).toEqual([-1, -2, -3, -4]);
      expect(await session.run(inputs, [])).toEqual([]);
      for (const tensor of [grown!, negative!, only!]) tensor.dispose();
    });
  });

  it('takes its results as inputs, whether their shapes were known or not', async () => {
    await withSession(GROWING, async (session) => {
      let cache: RuntimeTensor = runtime.createTensor(floats([0, 4]));
      for (let step = 0; step < 20; step++) {
        const row = floats([1, 4], step, 2 * step, 5 - step, 0);
        const shape = step % 3 === 0 ? undefined : [step + 1, 4];
        const [grown] = await session.run([cache, row], [{ name: 'grown', shape }]);
        cache.dispose();
        cache = grown!;
      }
      expect(cache.shape).toEqual([20, 4]);
      expect([...(await cache.data())]).toEqual(Array.from({ length: 20 }, (_, step) => [step, 2 * step, 5 - step, 0]).flat());
      cache.dispose();
    });
  });

  it('knows integers and booleans', async () => {
    const graph = graphOf(
      [value('a', ['n'], 'int32'), value('b', ['n'], 'bool')],
      [
        node('Cast', ['b'], ['ones'], { attributes: { to: 6 } }),
        node('Add', ['a', 'ones'], ['sum']),
        node('Equal', ['a', 'sum'], ['same']),
      ],
      [value('sum', ['n'], 'int32'), value('same', ['n'], 'bool')],
    );
    await withSession(graph, async (session) => {
      const inputs = [
        { shape: [3], data: Int32Array.of(2 ** 31 - 2, 0, -5) },
        { shape: [3], data: Uint8Array.of(1, 0, 1) },
      ];
      const [sum, same] = await session.run(inputs);
      expect([sum!.dtype, await sum!.data()]).toEqual(['int32', Int32Array.of(2 ** 31 - 1, 0, -4)]);
      expect([same!.dtype, await same!.data()]).toEqual(['bool', Uint8Array.of(0, 1, 0)]);
      const [again] = await session.run([sum!, same!], [{ name: 'sum' }]);
      expect(await again!.data()).toEqual(Int32Array.of(2 ** 31 - 1, 1, -4));
      for (const tensor of [sum!, same!, again!]) tensor.dispose();
    });
  });

  it('knows scalars and empty tensors', async () => {
    const graph = graphOf(
      [value('x', ['a', 'b'])],
      [node('ReduceSum', ['x'], ['y'], { attributes: { keepdims: 0 } })],
      [value('y', [])],
    );
    await withSession(graph, async (session) => {
      for (const shape of [
        [2, 3],
        [0, 3],
        [1, 1],
      ]) {
        const data = new Float32Array(shape[0]! * shape[1]!).fill(2);
        const [y] = await session.run([{ shape, data }]);
        expect([y!.shape, [...(await y!.data())]]).toEqual([[], [2 * data.length]]);
        y!.dispose();
      }
    });
  });

  it('reads tensors of other engines', async () => {
    const data = Float32Array.of(1, 2, 3, 4);
    const foreign: EngineTensor = {
      shape: [1, 4],
      dtype: 'float32',
      data: () => Promise.resolve(data),
      toTensor: () => Promise.reject(new Error('not used')),
      dispose: () => undefined,
    };
    await withSession(GROWING, async (session) => {
      const [grown] = await session.run([foreign, foreign], [{ name: 'grown' }]);
      expect([...(await grown!.data())]).toEqual([1, 2, 3, 4, 1, 2, 3, 4]);
      grown!.dispose();
    });
  });

  it('keeps the order of calls, and its inputs until they were used', async () => {
    const graph = graphOf([value('x', ['n'])], [node('Add', ['x', 'x'], ['y'])], [value('y', ['n'])]);
    await withSession(graph, async (session) => {
      const x = runtime.createTensor(floats([1000], ...Array.from({ length: 1000 }, (_, i) => i)));
      const runs = Array.from({ length: 5 }, () => session.run([x]));
      x.dispose(); // the runs have not begun
      const others = Array.from({ length: 5 }, () =>
        runtime.createTensor(floats([1000], ...Array.from({ length: 1000 }, () => -1))),
      );
      for (const run of runs) expect((await (await run)[0]!.data())[999]).toBe(1998);
      for (const tensor of others) tensor.dispose();
    });
  });
});

describe('tensors', () => {
  it('become tensors of tfjs that do not change with the memory', async () => {
    await expectNoLeak(async () => {
      const tensor = runtime.createTensor({ shape: [2, 2], data: Int32Array.of(1, 2, 3, 4) });
      const copy = await tensor.toTensor<tf.Rank.R2>();
      tensor.dispose();
      const other = runtime.createTensor({ shape: [2, 2], data: Int32Array.of(9, 9, 9, 9) });
      expect([copy.shape, copy.dtype, [...copy.dataSync()]]).toEqual([[2, 2], 'int32', [1, 2, 3, 4]]);
      other.dispose();
      copy.dispose();
    });
  });

  it('cannot be used after dispose, which may be called twice', async () => {
    await withSession(GROWING, async (session) => {
      const tensor = runtime.createTensor(floats([1, 4], 1, 2, 3, 4));
      tensor.dispose();
      tensor.dispose();
      await expect(tensor.data()).rejects.toThrowErrorMatchingInlineSnapshot(
        `[DisposedError: A float32 tensor of shape [1, 4] was disposed and cannot be used any more. Load it again, or dispose it later.]`,
      );
      await expect(tensor.toTensor()).rejects.toThrow(DisposedError);
      await expect(session.run([tensor, floats([1, 4], 1, 2, 3, 4)])).rejects.toThrow(DisposedError);
      const first = runtime.createTensor(floats([4], 1, 1, 1, 1));
      const second = runtime.createTensor(floats([4], 2, 2, 2, 2));
      expect([(await first.data())[0], (await second.data())[0]]).toEqual([1, 2]); // two disposals gave one buffer, not two
      first.dispose();
      second.dispose();
    });
  });

  it('never share memory with another living tensor', async () => {
    const graph = graphOf([value('x', ['n'])], [node('Add', ['x', 'x'], ['y'])], [value('y', ['n'])]);
    await withSession(graph, async (session) => {
      const command = fc.oneof(
        fc.record({ kind: fc.constant('create' as const), size: fc.integer({ min: 0, max: 300 }) }),
        fc.record({ kind: fc.constant('run' as const), pick: fc.nat(), known: fc.boolean() }),
        fc.record({ kind: fc.constant('dispose' as const), pick: fc.nat() }),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(command, { maxLength: 40, size: 'max' }), async (commands) => {
          const living: { tensor: RuntimeTensor; fill: number }[] = [];
          let next = 1;
          for (const step of commands) {
            const index = 'pick' in step && living.length > 0 ? step.pick % living.length : undefined;
            if (step.kind === 'create') {
              const fill = next++;
              living.push({
                tensor: runtime.createTensor({ shape: [step.size], data: new Float32Array(step.size).fill(fill) }),
                fill,
              });
            } else if (index !== undefined && step.kind === 'dispose') {
              living.splice(index, 1)[0]!.tensor.dispose();
            } else if (index !== undefined && step.kind === 'run') {
              const { tensor, fill } = living[index]!;
              const [y] = await session.run([tensor], [{ name: 'y', shape: step.known ? tensor.shape : undefined }]);
              living.push({ tensor: y!, fill: 2 * fill });
            }
            for (const { tensor, fill } of living) expect((await tensor.data()).every((one) => one === fill)).toBe(true);
          }
          for (const { tensor } of living) tensor.dispose();
        }),
        { numRuns: 60 },
      );
    });
  });
});

describe('into', () => {
  const graph = graphOf([value('p', ['n']), value('g', ['n'])], [node('Sub', ['p', 'g'], ['next'])], [value('next', ['n'])]);

  it('writes over a tensor, also over an input', async () => {
    await withSession(graph, async (session) => {
      const parameters = runtime.createTensor(floats([3], 10, 20, 30));
      for (let step = 0; step < 3; step++) {
        const [next] = await session.run([parameters, floats([3], 1, 2, 3)], [{ name: 'next', into: parameters }]);
        expect(next).toBe(parameters);
      }
      expect([...(await parameters.data())]).toEqual([7, 14, 21]);
      parameters.dispose();
    });
  });

  it('says which tensor it cannot write into', async () => {
    await withSession(graph, async (session) => {
      const short = runtime.createTensor(floats([2], 0, 0));
      const integers = runtime.createTensor({ shape: [3], data: new Int32Array(3) });
      const inputs = [floats([3], 1, 2, 3), floats([3], 1, 2, 3)];
      const into = (tensor: RuntimeTensor) => session.run(inputs, [{ name: 'next', into: tensor }]);
      await expect(into(short)).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ShapeError: test graph: output 'next' is [2], expected [3]. Pass the shape that the graph was made for, or make a graph for this one.]`,
      );
      await expect(into(integers)).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: test graph: output 'next' is float32 and cannot be written into a tensor of int32. Pass one of its type.]`,
      );
      short.dispose();
      await expect(into(short)).rejects.toThrow(DisposedError);
      await expect(into({ ...short, isDisposed: false } as RuntimeTensor)).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: test graph: output 'next' shall be written into a tensor of another engine, expected one of this runtime. Make one with createTensor.]`,
      );
      integers.dispose();
    });
    await withSession(GROWING, async (session) => {
      const tensor = runtime.createTensor(floats([1, 4], 0, 0, 0, 0));
      const inputs = [floats([0, 4]), floats([1, 4], 1, 2, 3, 4)];
      const both = [
        { name: 'grown', into: tensor },
        { name: 'negative', into: tensor },
      ];
      await expect(session.run(inputs, both)).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: test graph: output 'negative' shall be written into the same tensor as another output. Pass one tensor for each.]`,
      );
      tensor.dispose();
    });
  });
});

describe('what a run refuses', () => {
  const row = floats([1, 4], 1, 2, 3, 4);

  it('names the input or output', async () => {
    await withSession(GROWING, async (session) => {
      await expect(session.run([row])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: test graph got 1 inputs, expected 2: cache, row. Pass one value for each.]`,
      );
      await expect(session.run([floats([4], 1, 2, 3, 4), row])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ShapeError: test graph: input 'cache' is [4], expected [past, 4]. Pass the shape that the graph was made for, or make a graph for this one.]`,
      );
      await expect(session.run([floats([2, 4], 1), row])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ShapeError: test graph: input 'cache' has 1 values, but its shape [2, 4] needs 8. Correct the shape.]`,
      );
      await expect(session.run([{ shape: [1, 4], data: new Int32Array(4) }, row])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: test graph: input 'cache' is int32, expected float32. Convert it before the run.]`,
      );
      await expect(session.run([row, row], [{ name: 'shrunk' }])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: test graph: output 'shrunk' is not one of the graph’s, expected some of grown, negative, each once. Correct its name.]`,
      );
      await expect(session.run([row, row], [{ name: 'grown' }, { name: 'grown' }])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[InputError: test graph: output 'grown' was asked for twice, expected some of grown, negative, each once. Correct its name.]`,
      );
      await expect(session.run([row, row], [{ name: 'grown', shape: [8] }])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ShapeError: test graph: output 'grown' is [8], expected [all, 4]. Pass the shape that the graph was made for, or make a graph for this one.]`,
      );
      const [grown] = await session.run([row, row]);
      expect(grown!.shape).toEqual([2, 4]);
    });
  });

  it('checks that an axis has one size', async () => {
    const graph = graphOf(
      [value('tokens', ['batch', 'tokens']), value('mask', ['batch', 'tokens'])],
      [node('Mul', ['tokens', 'mask'], ['y'])],
      [value('y', ['batch', 'tokens'])],
    );
    await withSession(graph, async (session) => {
      await expect(session.run([floats([1, 2], 1, 2), floats([1, 1], 1)])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ShapeError: test graph: input 'mask' is [1, 1], expected [batch, tokens] with 'tokens' = 2 as in 'tokens'. Pass inputs of one call.]`,
      );
    });
  });

  it('gives memory back when ONNX Runtime fails', async () => {
    await withSession(GROWING, async (session) => {
      await expect(session.run([row, row], [{ name: 'grown', shape: [5, 4] }])).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ShapeError: test graph: output 'grown' was asked for as [5, 4], but is [2, 4] for these inputs. Pass its true shape, or none.]`,
      );
      const [grown] = await session.run([row, row], [{ name: 'grown', shape: [2, 4] }]);
      expect([...(await grown!.data())]).toEqual([1, 2, 3, 4, 1, 2, 3, 4]);
    });
  });

  it('is aborted before a run and after it', async () => {
    await withSession(GROWING, async (session) => {
      await expect(session.run([row, row], undefined, { abortSignal: AbortSignal.abort() })).rejects.toThrow(
        expect.objectContaining({ name: 'AbortError' }),
      );
      const controller = new AbortController();
      const first = session.run([row, row]);
      const second = session.run([row, row], undefined, { abortSignal: controller.signal });
      controller.abort(new Error('stop'));
      expect((await first)[0]!.shape).toEqual([2, 4]);
      await expect(second).rejects.toThrow('stop');
    });
    const options = { name: 'test', abortSignal: AbortSignal.abort() };
    await expect(runtime.createSession(GROWING, options)).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  });

  it('is disposed after the runs under way', async () => {
    const session = await runtime.createSession(GROWING, { name: 'test graph' });
    const run = session.run([row, row]);
    const disposed = session.dispose();
    await expect(session.run([row, row])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DisposedError: test graph was disposed and cannot be used any more. Load it again, or dispose it later.]`,
    );
    expect((await run)[0]!.shape).toEqual([2, 4]);
    await disposed;
    await session.dispose();
  });
});

describe('what a runtime refuses', () => {
  it('graphs that ONNX Runtime does not know', async () => {
    const graph = graphOf([value('x', [1])], [node('Nonsense', ['x'], ['y'])], [value('y', [1])]);
    await expect(runtime.createSession(graph, { name: 'encoder' })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[UnsupportedBackendError: encoder: ONNX Runtime could not load the graph: This is an invalid model. In Node, ("Nonsense_0", Nonsense, "", -1) : ("x": tensor(float),) -> ("y": tensor(float),) , Error No Op registered for Nonsense with domain_version of 21. A compiled graph should always load: report it with this message, or run without an engine.]`,
    );
  });

  it('types that tensors have not', async () => {
    const graph = graphOf([value('x', [1], 'int64')], [node('Neg', ['x'], ['y'])], [value('y', [1], 'int64')]);
    await expect(runtime.createSession(graph, { name: 'encoder' })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: encoder: input 'x' is int64, expected float32, int32 or bool. Put a Cast between it and the graph's input.]`,
    );
  });

  it('new sessions after dispose', async () => {
    const other = await createNodeRuntime({ threads: 1, maxPoolBytes: 0 });
    const session = await other.createSession(GROWING, { name: 'test graph' });
    other.dispose();
    await expect(other.createSession(GROWING, { name: 'test graph' })).rejects.toThrow(DisposedError);
    const [grown] = await session.run([floats([0, 4]), floats([1, 4], 1, 2, 3, 4)]);
    expect(grown!.shape).toEqual([1, 4]);
    grown!.dispose();
    await session.dispose();
  });

  it('to work without the package', async () => {
    const missing = 'onnxruntime-node-that-is-not-installed';
    const error = await loadOnnxRuntime(() => import(missing)).catch((cause: Error) => cause);
    expect(
      String(error)
        .replace(/imported from .*?(\.|:) /, 'imported from …. ')
        .replace(/on \w+ \w+:/, 'on …:'),
    ).toMatchInlineSnapshot(
      `"UnsupportedBackendError: createNodeRuntime: the package onnxruntime-node could not be loaded on …: Cannot find package 'onnxruntime-node-that-is-not-installed' imported from …. The compiled engine needs it. Run: npm install onnxruntime-node"`,
    );
  });

  it('providers that do not work here', async (context) => {
    const opened = await createNodeRuntime({ provider: 'cuda' }).catch((cause: Error) => cause);
    if (!(opened instanceof Error)) {
      opened.dispose();
      return context.skip('CUDA works here');
    }
    expect(opened.message).toMatch(/cuda does not work on this machine: .* This build of ONNX Runtime has cpu, .*Install CUDA/);
  });
});
