import { expectNoLeak, spread } from '@blip2/testing';
import { eagerEngine } from '@blip2/testing/engine';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import type { Engine, PreparedFunction } from './engine.ts';
import { DisposedError, InputError, ShapeError } from './errors.ts';
import { linear, type LinearParams } from './layers/linear.ts';
import { weightFromValues } from './weights.ts';

interface Inputs {
  readonly x: Tensor2D;
  readonly past: readonly Tensor2D[];
}

/** What a stage would prepare: a growing cache of rows, and their projection. */
function append({ weight }: LinearParams, { x, past }: Inputs): { y: Tensor; x: Tensor; past: Tensor[] } {
  const y = linear({ weight }, x); // [tokens, 3]
  return { y, x, past: past.map((rows) => tf.concat([rows, x], 0)) }; // [past + tokens, 2]
}

const weight = weightFromValues('weight', [3, 2], Float32Array.of(1, 2, 3, 4, 5, 6));

function prepare(engine: Engine): Promise<PreparedFunction<Inputs, ReturnType<typeof append>>> {
  return engine.prepare(append, {
    name: 'append',
    params: { weight },
    inputs: { x: { shape: ['tokens', 2] }, past: [{ shape: ['past', 2] }] },
  });
}

describe('the reference engine', () => {
  it('takes tensors, numbers and its own results', async () => {
    await expectNoLeak(async () => {
      const prepared = await prepare(eagerEngine());
      const x = spread<tf.Rank.R2>([1, 2]);
      const first = await prepared.run({ x, past: [{ shape: [0, 2], data: new Float32Array(0) }] });
      const second = await prepared.run({ x: { shape: [2, 2], data: Float32Array.of(1, 0, 0, 1) }, past: first.past });
      expect([...(await second.y.data())]).toEqual([1, 3, 5, 2, 4, 6]);
      expect(second.past[0]!.shape).toEqual([3, 2]);
      expect([...(await second.past[0]!.data())].slice(2)).toEqual([1, 0, 0, 1]);
      first.x.dispose(); // an output that is an input has its own life
      expect(x.isDisposed).toBe(false);
      for (const { y, x: copy, past } of [first, second]) [y, copy, ...past].forEach((tensor) => tensor.dispose());
      x.dispose();
      prepared.dispose();
    });
  });

  it('gathers rows', async () => {
    await expectNoLeak(async () => {
      const engine = eagerEngine();
      const prepared = await prepare(engine);
      const outputs = await prepared.run({
        x: { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
        past: [{ shape: [0, 2], data: new Float32Array(0) }],
      });
      const gathered = await engine.gatherRows(outputs.x, [1, 0, 1]);
      expect([...(await gathered.data())]).toEqual([3, 4, 1, 2, 3, 4]);
      await expect(engine.gatherRows(outputs.x, [2])).rejects.toThrow(InputError);
      const copy = await gathered.toTensor();
      gathered.dispose();
      expect(copy.shape).toEqual([3, 2]);
      await expect(gathered.toTensor()).rejects.toThrow(DisposedError);
      [outputs.y, outputs.x, ...outputs.past, copy].forEach((tensor) => tensor.dispose());
      prepared.dispose();
    });
  });

  it('refuses inputs that it was not prepared for', async () => {
    await expectNoLeak(async () => {
      const prepared = await prepare(eagerEngine());
      const past = [{ shape: [0, 2], data: new Float32Array(0) }];
      const x = { shape: [1, 2], data: new Float32Array(2) };
      await expect(prepared.run({ x: { shape: [1, 3], data: new Float32Array(3) }, past })).rejects.toThrow(ShapeError);
      await expect(
        prepared.run({ x: { shape: [1, 2], data: new Int32Array(2) }, past }),
      ).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ShapeError: append: x has int32 numbers, expected float32. Pass them in this type.]`,
      );
      await expect(prepared.run({ x, past: [] })).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ShapeError: append: past.0 is missing, expected [past, 2]. Pass it.]`,
      );
      await expect(prepared.run({ x, past: [...past, ...past] })).rejects.toThrowErrorMatchingInlineSnapshot(
        `[ShapeError: append: past.1 is not among the inputs it was prepared for. Leave it out.]`,
      );
      prepared.dispose();
    });
  });

  it('stops when it is told to', async () => {
    await expectNoLeak(async () => {
      const prepared = await prepare(eagerEngine());
      const inputs = { x: { shape: [1, 2], data: new Float32Array(2) }, past: [{ shape: [0, 2], data: new Float32Array(0) }] };
      await expect(prepared.run(inputs, { abortSignal: AbortSignal.abort() })).rejects.toThrow('aborted');
      const late = prepared.run(inputs);
      prepared.dispose();
      prepared.dispose();
      await expect(late).rejects.toThrow(DisposedError);
      await expect(prepared.run(inputs)).rejects.toThrow(DisposedError);
    });
  });
});
