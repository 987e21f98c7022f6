import '@tensorflow/tfjs';
import { gelu, linear } from '@blip2/core';
import { expectNoLeak } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { trace, type TraceInput } from './trace.ts';
import { TRACE_BACKEND } from './trace-backend.ts';

const X: TraceInput = { shape: [2, 3], dtype: 'float32' };

const traceOne = (compute: (x: Tensor) => unknown): unknown => trace((_, x) => compute(x), {}, X);

/** The error of a trace, its name and message, with `<here>` in place of this file. */
function failureOf(compute: (x: Tensor) => unknown): string {
  try {
    traceOne(compute);
  } catch (cause) {
    return String(cause).replaceAll(/\S*trace\.test\.ts:\d+:\d+/g, '<here>');
  }
  return 'no error';
}

/** The line of this file that a message names. */
function lineIn(message: string): number {
  return Number(message.match(/trace\.test\.ts:(\d+):/)?.[1]);
}

describe('a function that cannot be compiled', () => {
  it('uses a kernel that ONNX lacks', () => {
    expect(failureOf((x) => tf.multinomial(x as Tensor2D, 4, 7))).toMatchInlineSnapshot(
      `"UnsupportedBackendError: compile: <here> uses the tfjs kernel 'Multinomial', which cannot be compiled yet. Write it with other operations, or keep that part eager; the package's README lists the kernels that can."`,
    );
    expect(failureOf((x) => tf.unique(x as Tensor1D))).toMatchInlineSnapshot(
      `"UnsupportedBackendError: compile: <here> uses the tfjs kernel 'Unique', which cannot be compiled yet. Write it with other operations, or keep that part eager; the package's README lists the kernels that can."`,
    );
  });

  it('reads values', () => {
    expect(failureOf((x) => x.dataSync())).toMatchInlineSnapshot(
      `"InputError: compile: <here> reads the values of a tensor while the function is traced, when there are none yet. Keep the choice in tensors (tf.where), or make the value an argument that is fixed before compiling."`,
    );
  });

  it('branches on values', () => {
    const choose = (x: Tensor): Tensor => (tf.sum(x).arraySync() === 0 ? x : tf.neg(x));
    expect(failureOf(choose)).toMatchInlineSnapshot(
      `"InputError: compile: <here> reads the values of a tensor while the function is traced, when there are none yet. Keep the choice in tensors (tf.where), or make the value an argument that is fixed before compiling."`,
    );
  });

  it('waits for values', () => {
    expect(failureOf(async (x) => tf.mul(x, (await x.data())[0]!))).toMatchInlineSnapshot(
      `"InputError: compile: the function is asynchronous and gave a promise, expected a tensor or a tree of tensors. Wait for what it needs before compiling, and pass that as an input."`,
    );
  });

  it('draws random numbers', () => {
    expect(failureOf((x) => tf.dropout(x, 0.5))).toMatchInlineSnapshot(
      `"InputError: compile: <here> draws random numbers while the function is traced; they would be the same in every run. Draw them outside and pass them as an input, or give a seed if they shall be the same."`,
    );
    expect(failureOf((x) => tf.add(x, tf.randomNormal([2, 3])))).toMatchInlineSnapshot(
      `"InputError: compile: <here> draws random numbers while the function is traced; they would be the same in every run. Draw them outside and pass them as an input, or give a seed if they shall be the same."`,
    );
    expect(failureOf((x) => tf.dropout(x, 0.5, undefined, 7))).toBe('no error');
    expect(Math.random()).toBeLessThan(1);
  });

  it('has tensors of other types', () => {
    expect(failureOf((x) => tf.complex(x, x))).toMatchInlineSnapshot(
      `"UnsupportedBackendError: compile: <here> uses the tfjs kernel 'Complex', which cannot be compiled yet. Write it with other operations, or keep that part eager; the package's README lists the kernels that can."`,
    );
    expect(failureOf(() => tf.tensor(['a']))).toMatchInlineSnapshot(
      `"UnsupportedBackendError: compile: <here> makes a tensor of type string; a compiled function has float32, int32 and bool. Keep other types outside."`,
    );
  });

  it('has a gradient that nobody registered', () => {
    expect(failureOf((x) => tf.grad((z) => tf.sum(tf.cumprod(z)))(x))).toMatchInlineSnapshot(
      `"UnsupportedBackendError: compile: <here> needs the gradient of 'Cumprod', which is not registered. Import '@tensorflow/tfjs', which registers all that tfjs has; if that is done, write it with operations that have one."`,
    );
  });

  it('passes on its own errors as they are', () => {
    const cause = new RangeError('mine');
    const fail = (): never => {
      throw cause;
    };
    expect(() => traceOne(fail)).toThrow(cause);
  });
});

describe('the line that a message names', () => {
  const messageOf = (compute: (x: Tensor) => unknown): string => {
    try {
      traceOne(compute);
    } catch (cause) {
      return String(cause);
    }
    return '';
  };
  const here = (): number => Number(new Error().stack!.split('\n')[2]!.match(/trace\.test\.ts:(\d+):/)![1]);

  it('is the one that calls the operation', () => {
    let line = 0;
    const message = messageOf((x) => {
      const twice = tf.mul(x, 2);
      line = here() + 1;
      return tf.unique(twice as Tensor1D);
    });
    expect(lineIn(message)).toBe(line);
  });

  it('is not one of tf.tidy, of a layer of core or of an array', () => {
    let line = 0;
    const message = messageOf((x) =>
      [x].map((one) =>
        tf.tidy(() => {
          line = here() + 1;
          return tf.unique(gelu(linear({ weight: tf.ones([4, 3]) }, one)) as unknown as Tensor1D);
        }),
      ),
    );
    expect(lineIn(message)).toBe(line);
  });

  it('is the one of a gradient function, however deep the operation was', () => {
    let line = 0;
    const custom = tf.customGrad((x) => {
      const gradFunc = (dy: Tensor): Tensor => {
        line = here() + 1;
        return tf.unique(dy as Tensor1D).values;
      };
      return { value: tf.neg(x as Tensor), gradFunc };
    });
    const deep = (x: Tensor, depth: number): Tensor => (depth === 0 ? custom(x) : tf.tidy(() => deep(x, depth - 1)));
    const message = messageOf((x) => tf.tidy(() => tf.grad((z) => tf.sum(tf.mul(z, deep(z, 9))))(x)));
    expect(message).toContain("kernel 'Unique'");
    expect(lineIn(message)).toBe(line);
  });

  it('is the one that calls the operation of which a gradient is taken', () => {
    let line = 0;
    const message = messageOf((x) => {
      const pictures = tf.reshape(x, [1, 2, 3, 1]);
      line = here() + 1;
      return tf.grad((z) => tf.sum(tf.image.cropAndResize(z as Tensor4D, [[0, 0, 1, 1]], [0], [2, 2])))(pictures);
    });
    expect(lineIn(message)).toBe(line);
  });
});

describe('what a trace leaves behind', () => {
  it('no tensors, the backend and the length of stacks', async () => {
    const before = [tf.getBackend(), Error.stackTraceLimit];
    const constant = tf.tensor1d([1, 2, 3]);
    await expectNoLeak(() => traceOne((x) => tf.mul(tf.add(x, constant), tf.scalar(2))));
    await expectNoLeak(() => expect(() => traceOne((x) => tf.unique(tf.add(x, constant) as Tensor1D))).toThrow());
    expect([tf.getBackend(), Error.stackTraceLimit]).toEqual(before);
    constant.dispose();
  });

  it('a backend that computes nothing', async () => {
    const before = tf.getBackend();
    traceOne((x) => x);
    await tf.setBackend(TRACE_BACKEND);
    try {
      expect(() => tf.add(1, 2)).toThrowErrorMatchingInlineSnapshot(
        `[UnsupportedBackendError: The backend 'onnx-trace' records operations while a function is compiled and computes nothing. Choose another with tf.setBackend().]`,
      );
    } finally {
      await tf.setBackend(before);
    }
  });
});

describe('constants of the function', () => {
  let outside: Tensor;
  beforeEach(() => {
    outside = tf.tensor2d([[1, 2, 3]]);
  });
  afterEach(() => outside.dispose());

  it('are tensors of any backend, with their values', () => {
    const { graph } = trace((_, x) => tf.add(x, outside), {}, X);
    const [constant] = graph.constants;
    expect([constant!.type, constant!.shape, new Float32Array(constant!.bytes!.buffer)]).toEqual([
      'float32',
      [1, 3],
      Float32Array.of(1, 2, 3),
    ]);
  });

  it('may be read while tracing', () => {
    const { graph } = trace((_, x) => tf.mul(x, tf.scalar(3).dataSync()[0]! + 1), {}, X);
    expect(graph.nodes.map(({ operator }) => operator)).toEqual(['Mul']);
  });
});
