import { expectNoLeak } from '@blip2/testing';
import { type EagerEngine, eagerEngine } from '@blip2/testing/engine';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import type { Progress } from './abort-and-progress.ts';
import { disposeOutputs, EngineFunction, graphIdentity, outputsToTensors, prepareFunctions } from './engine-functions.ts';
import { linear, type LinearParams } from './layers/linear.ts';
import { type Weight, weightFromValues } from './weights.ts';

const values = weightFromValues('weight', [3, 2], Float32Array.of(1, 2, 3, 4, 5, 6));

/** A weight whose file answers when it is told to, and how often it was asked. */
function slowWeight(): { weight: Weight; answer: () => void; reads: () => number } {
  const gate = Promise.withResolvers<void>();
  let reads = 0;
  const weight: Weight = {
    ...values,
    async read(options) {
      reads++;
      await gate.promise;
      options?.abortSignal?.throwIfAborted();
      return values.read();
    },
  };
  return { weight, answer: gate.resolve, reads: () => reads };
}

interface Outputs {
  readonly y: Tensor2D;
  readonly twice: readonly Tensor2D[];
}

function project(engine: EagerEngine, weight: Weight = values): EngineFunction<LinearParams, { x: Tensor2D }, Outputs> {
  return new EngineFunction<LinearParams, { x: Tensor2D }, Outputs>(
    engine,
    (params, { x }) => {
      const y = linear(params, x); // [tokens, 3]
      return { y, twice: [tf.mul(y, 2)] };
    },
    { name: 'projection', params: { weight }, inputs: { x: { shape: ['tokens', 2] } } },
  );
}

const x = { shape: [1, 2], data: Float32Array.of(1, 1) };

describe('EngineFunction', () => {
  it('is prepared once, when it is first needed', () =>
    expectNoLeak(async () => {
      const engine = eagerEngine();
      const projection = project(engine);
      expect(projection.params).toEqual({ weight: values });
      expect(engine.prepared).toEqual([]);
      const [first, second] = await Promise.all([projection.runToTensors({ x }), projection.run({ x })]);
      expect([...first.y.dataSync()]).toEqual([3, 7, 11]);
      expect([...first.twice[0]!.dataSync()]).toEqual([6, 14, 22]);
      expect(second.y.shape).toEqual([1, 3]);
      await projection.prepare();
      expect(engine.prepared).toEqual(['projection']);
      tf.dispose([first.y, ...first.twice]);
      disposeOutputs(second);
      projection.dispose();
    }));

  it('goes on preparing while somebody waits', () =>
    expectNoLeak(async () => {
      const { weight, answer, reads } = slowWeight();
      const projection = project(eagerEngine(), weight);
      const abort = new AbortController();
      const impatient = projection.run({ x }, { abortSignal: abort.signal });
      const patient = projection.run({ x });
      abort.abort();
      await expect(impatient).rejects.toMatchObject({ name: 'AbortError' });
      answer();
      disposeOutputs(await patient);
      expect(reads()).toBe(1);
      projection.dispose();
    }));

  it('ends preparing when all have left, and begins again', () =>
    expectNoLeak(async () => {
      const { weight, answer, reads } = slowWeight();
      const projection = project(eagerEngine(), weight);
      const abort = new AbortController();
      const impatient = projection.prepare({ abortSignal: abort.signal });
      abort.abort();
      await expect(impatient).rejects.toMatchObject({ name: 'AbortError' });
      const again = projection.run({ x });
      answer();
      disposeOutputs(await again);
      expect(reads()).toBe(2);
      projection.dispose();
    }));

  it('hands on errors of preparing, and tries again', () =>
    expectNoLeak(async () => {
      let broken = true;
      const weight: Weight = {
        ...values,
        read: () => (broken ? Promise.reject(new Error('the disk is gone')) : values.read()),
      };
      const projection = project(eagerEngine(), weight);
      const both = await Promise.allSettled([projection.run({ x }), projection.run({ x })]);
      expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
      await expect(projection.run({ x })).rejects.toThrow('the disk is gone');
      broken = false;
      disposeOutputs(await projection.run({ x }));
      projection.dispose();
    }));

  it('is over after dispose, also while it is prepared or runs', () =>
    expectNoLeak(async () => {
      const { weight, answer } = slowWeight();
      const preparing = project(eagerEngine(), weight);
      const waiting = preparing.run({ x });
      preparing.dispose();
      answer();
      await expect(waiting).rejects.toMatchObject({ code: 'disposed' });

      const running = project(eagerEngine());
      await running.prepare();
      const late = running.run({ x });
      running.dispose();
      running.dispose();
      await expect(late).rejects.toThrowErrorMatchingInlineSnapshot(
        `[DisposedError: projection was disposed and cannot be used any more. Load it again, or dispose it later.]`,
      );
      await expect(running.run({ x })).rejects.toMatchObject({ code: 'disposed' });
    }));

  it('hears aborts', () =>
    expectNoLeak(async () => {
      const projection = project(eagerEngine());
      const abortSignal = AbortSignal.abort();
      await expect(projection.run({ x }, { abortSignal })).rejects.toMatchObject({ name: 'AbortError' });
      await projection.prepare();
      const later = new AbortController();
      const running = projection.run({ x }, { abortSignal: later.signal });
      later.abort();
      await expect(running).rejects.toMatchObject({ name: 'AbortError' });
      projection.dispose();
    }));
});

describe('prepareFunctions', () => {
  it('reports bytes: monotone, one total, complete at the end, shared weights once', () =>
    expectNoLeak(async () => {
      const engine = eagerEngine();
      const functions = [project(engine), project(engine), project(engine, { ...values })];
      const events: Progress[] = [];
      await prepareFunctions(functions, 'part', { onProgress: (event) => events.push(event) });
      expect(events.map(({ loadedBytes }) => loadedBytes)).toEqual([24, 48]);
      expect(events.at(-1)).toEqual({ phase: 'load', part: 'part', loadedBytes: 48, totalBytes: 48 });
      functions.forEach((one) => one.dispose());
    }));

  it("takes over the share of an engine's own progress", async () => {
    const engine = eagerEngine();
    const events: number[] = [];
    const counting: EagerEngine = {
      ...engine,
      prepare(compute, options) {
        for (const loadedBytes of [1, 1, 3, 4]) options.onProgress?.({ phase: 'load', part: 'x', loadedBytes, totalBytes: 4 });
        return engine.prepare(compute, options);
      },
    };
    const functions = [project(counting), project(counting, { ...values })];
    await prepareFunctions(functions, 'part', { onProgress: ({ loadedBytes }) => events.push(loadedBytes) });
    expect(events).toEqual([6, 18, 24, 30, 42, 48]);
    functions.forEach((one) => one.dispose());
  });

  it('leaves nothing behind on error or abort', () =>
    expectNoLeak(async () => {
      const engine = eagerEngine();
      const unreadable: Weight = { ...values, read: () => Promise.reject(new Error('the disk is gone')) };
      const broken = [project(engine), project(engine, unreadable)];
      await expect(prepareFunctions(broken, 'part')).rejects.toThrow('the disk is gone');
      const abort = new AbortController();
      const options = { abortSignal: abort.signal, onProgress: () => abort.abort() };
      await expect(prepareFunctions([project(engine), project(engine, { ...values })], 'part', options)).rejects.toMatchObject({
        name: 'AbortError',
      });
    }));
});

it('outputsToTensors leaves nothing behind when a result cannot be had', () =>
  expectNoLeak(async () => {
    const copy = project(eagerEngine());
    const outputs = await copy.run({ x });
    outputs.twice[0]!.dispose();
    await expect(outputsToTensors(outputs)).rejects.toMatchObject({ code: 'disposed' });
    copy.dispose();
  }));

it('graphIdentity says what a function depends on', () => {
  const identity = graphIdentity({ package: '@blip2/x', version: 3, name: 'f', config: { width: 8 } });
  expect(JSON.parse(JSON.stringify(identity))).toMatchObject({
    package: '@blip2/x',
    version: 3,
    name: 'f',
    config: { width: 8 },
  });
});
