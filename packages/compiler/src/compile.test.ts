import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs';
import type { EngineTensor } from '@blip2/core';
import { expectNoLeak } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CompiledFunction } from './compiled-function.ts';
import { compile } from './node.ts';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const dataOf = async (tensor: EngineTensor): Promise<number[]> => [...(await tensor.data())];

interface Step {
  readonly x: tf.Tensor3D; //                              [batch, tokens, 8]
  readonly past: readonly { key: tf.Tensor3D; value: tf.Tensor3D }[]; // [batch, past, 8]
  readonly mask: tf.Tensor3D; //                           [batch, tokens, past + tokens]
}

/** Two layers of attention over a growing cache. */
function step({ x, past, mask }: Step): { output: tf.Tensor3D; cache: { key: tf.Tensor3D; value: tf.Tensor3D }[] } {
  const cache: { key: tf.Tensor3D; value: tf.Tensor3D }[] = [];
  let hidden = x;
  for (const { key, value } of past) {
    const keys = tf.concat([key, hidden], 1); // [batch, past + tokens, 8]
    const values = tf.concat([value, tf.tanh(hidden)], 1); // [batch, past + tokens, 8]
    const scores = tf.add(tf.matMul(hidden, keys, false, true), mask); // [batch, tokens, past + tokens]
    const [batch, tokens] = x.shape;
    const read = tf.matMul(tf.softmax(scores), values); // [batch, tokens, 8]
    hidden = tf.reshape(tf.add(tf.reshape(read, [batch * tokens, 8]), tf.mean(hidden, [0, 1])), [batch, tokens, 8]);
    cache.push({ key: keys as tf.Tensor3D, value: values as tf.Tensor3D });
  }
  return { output: hidden, cache };
}

const shape = (tokens: string): { shape: (string | number)[] } => ({ shape: ['batch', tokens, 8] });

describe('a step with a growing cache', () => {
  let compiled: CompiledFunction<Step, ReturnType<typeof step>>;
  beforeAll(async () => {
    const layer = { key: shape('past'), value: shape('past') };
    compiled = await compile(step, {
      inputs: { x: shape('tokens'), past: [layer, layer], mask: { shape: ['batch', 'tokens', 'past + tokens'] } },
    });
  });
  afterAll(() => compiled.dispose());

  it.each([
    { batch: 1, tokens: 4, past: 0 },
    { batch: 1, tokens: 1, past: 4 },
    { batch: 5, tokens: 1, past: 9 },
    { batch: 3, tokens: 6, past: 2 },
    { batch: 2, tokens: 1, past: 40 },
    { batch: 0, tokens: 2, past: 1 },
  ])('equals tfjs for $batch rows, $tokens tokens after $past', async ({ batch, tokens, past }) => {
    const random = (...sizes: number[]): tf.Tensor3D => tf.randomNormal(sizes as [number, number, number], 0, 1, 'float32', 3);
    const inputs = {
      x: random(batch, tokens, 8),
      past: [1, 2].map(() => ({ key: random(batch, past, 8), value: random(batch, past, 8) })),
      mask: random(batch, tokens, past + tokens),
    };
    const expected = step(inputs);
    const result = await compiled.run(inputs);
    expect(result.cache[1]!.value.shape).toEqual([batch, past + tokens, 8]);
    expect(await result.output.data()).toBeAllclose((await expected.output.data()) as Float32Array, 1e-5);
    expect(await result.cache[1]!.value.data()).toBeAllclose((await expected.cache[1]!.value.data()) as Float32Array, 1e-5);
  });

  it('takes its own results as inputs, as they are', async () => {
    const x = tf.ones<tf.Rank.R3>([1, 1, 8]);
    const nothing = (): { shape: number[]; data: Float32Array } => ({ shape: [1, 0, 8], data: new Float32Array(0) });
    let past: { key: EngineTensor | ReturnType<typeof nothing>; value: EngineTensor | ReturnType<typeof nothing> }[] = [1, 2].map(
      () => ({
        key: nothing(),
        value: nothing(),
      }),
    );
    for (let position = 0; position < 3; position++) {
      const { cache } = await compiled.run({ x, past: past as never, mask: tf.zeros([1, 1, position + 1]) });
      past = cache.map(({ key, value }) => ({ key, value }));
    }
    expect(past[0]!.key.shape).toEqual([1, 3, 8]);
  });

  it('says which inputs do not go together', async () => {
    const x = tf.zeros<tf.Rank.R3>([1, 2, 8]);
    const layer = { key: tf.zeros<tf.Rank.R3>([1, 3, 8]), value: tf.zeros<tf.Rank.R3>([1, 3, 8]) };
    const mask = tf.zeros<tf.Rank.R3>([1, 2, 4]);
    await expect(compiled.run({ x, past: [layer, layer], mask })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: compiled function: mask is [1, 2, 4], expected [batch, tokens, past + tokens]: axis 2 is 4, expected 5, because past + tokens with past 3, tokens 2 is that. Pass inputs whose sizes go together.]`,
    );
    await expect(compiled.run({ x, past: [layer], mask } as never)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: compiled function: the input past.1.key [batch, past, 8] is missing; got mask. Pass a tree like the one that was compiled.]`,
    );
    await expect(compiled.run({ x, past: [layer, layer, layer], mask } as never)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: compiled function: past.2.key, past.2.value is not an input. The inputs are x, past.0.key, past.0.value, past.1.key, past.1.value, mask.]`,
    );
    const whole = tf.zeros<tf.Rank.R3>([1, 2, 5], 'int32');
    await expect(compiled.run({ x, past: [layer, layer], mask: whole })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: compiled function: mask is int32, expected float32. Convert it with tf.cast.]`,
    );
  });
});

describe('what cannot be compiled', () => {
  const inputs = { x: { shape: ['rows', 4] } };
  type Inputs = { readonly x: tf.Tensor2D };

  it('is a function that does other things for other sizes', async () => {
    const branching = ({ x }: Inputs): tf.Tensor => (x.shape[0] > 30 ? tf.neg(x) : tf.exp(x));
    await expect(compile(branching, { inputs })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: compile: operation 0 is Exp in one trace and Neg in one of other sizes: the function does different things for different sizes. Make its steps independent of the sizes, or compile it for fixed ones.]`,
    );
  });

  it('is a constant made from sizes', async () => {
    const counting = ({ x }: Inputs): tf.Tensor => tf.add(x, tf.tensor2d(Array.from({ length: x.shape[0] }, (_, row) => [row])));
    await expect(compile(counting, { inputs })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: compile: a constant for the operation Add (Add_1) has the shapes [5, 1], [37, 1], [19, 1], [101, 1] or other values in traces of other sizes: the function builds it from the sizes of its inputs. Build it from tensors (tf.range, tf.fill, tf.oneHot), or pass it as an input.]`,
    );
  });

  it('is a number that follows from sizes in no simple way', async () => {
    const rooted = ({ x }: Inputs): tf.Tensor => tf.mul(x, Math.sqrt(x.shape[0]));
    await expect(compile(rooted, { inputs })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: compile: a number for the operation Mul (Mul_1) is 2.2360680103302, 6.082762718200684, 4.358899116516113, 10.049875259399414 in traces of different sizes, which does not follow from the sizes of the inputs by sums and products. Compute it with tensors, or fix that axis.]`,
    );
  });

  it('leaves the backend and the number of tensors as they were', async () => {
    await expectNoLeak(async () => {
      await expect(compile(({ x }: Inputs) => x.dataSync() as never, { inputs })).rejects.toThrow('reads the values');
    });
    expect(tf.getBackend()).toBe('cpu');
  });
});

it('means divide by sizes that are known when it runs', async () => {
  using mean = await compile(({ x }: { x: tf.Tensor2D }) => tf.grad((v) => tf.mean(tf.square(v)))(x), {
    inputs: { x: { shape: ['rows', 3] } },
  });
  const gradient = await mean.run({ x: tf.ones([4, 3]) });
  expect(await dataOf(gradient)).toBeAllclose(
    Array.from({ length: 12 }, () => 2 / 12),
    1e-6,
  );
});

it('gives an input or a constant back as an output', async () => {
  using same = await compile(({ x }: { x: tf.Tensor1D }) => ({ x, again: x, one: tf.scalar(1) }), {
    inputs: { x: { shape: ['n'] } },
  });
  const { x, again, one } = await same.run({ x: tf.tensor1d([1, 2]) });
  expect([await dataOf(x), await dataOf(again), await dataOf(one)]).toEqual([[1, 2], [1, 2], [1]]); // prettier-ignore
});

it('is of no use after dispose', async () => {
  const twice = await compile(({ x }: { x: tf.Tensor1D }) => tf.mul(x, 2), { inputs: { x: { shape: ['n'] } } });
  twice.dispose();
  twice.dispose();
  await expect(twice.run({ x: tf.tensor1d([1]) })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[DisposedError: compiled function was disposed and cannot be used any more. Load it again, or dispose it later.]`,
  );
});

it('hears an abort before it runs', async () => {
  using twice = await compile(({ x }: { x: tf.Tensor1D }) => tf.mul(x, 2), { inputs: { x: { shape: ['n'] } } });
  await expect(twice.run({ x: tf.tensor1d([1]) }, { abortSignal: AbortSignal.abort() })).rejects.toThrow('aborted');
});
