import { expectNoLeak } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { TensorScope, tidy, withTensorScope } from './tensor-scope.ts';

describe('withTensorScope', () => {
  it('disposes what it owns and leaves what was released', async () => {
    await expectNoLeak(async () => {
      const [owned, released] = await withTensorScope(async (scope) => {
        const first = scope.own(tf.scalar(1));
        await Promise.resolve();
        return [first, scope.release(scope.own(tf.scalar(2)))];
      });
      expect([owned.isDisposed, released.isDisposed]).toEqual([true, false]);
      released.dispose();
    });
  });

  it('disposes also when the work throws, and passes the error on', async () => {
    await expectNoLeak(async () => {
      const failing = withTensorScope(async (scope) => {
        scope.own(tf.ones([100]));
        await Promise.resolve();
        throw new Error('read failed');
      });
      await expect(failing).rejects.toThrow('read failed');
    });
  });

  it('drops a tensor early, once', () => {
    const scope = new TensorScope();
    const tensor = scope.own(tf.scalar(1));
    scope.drop(tensor);
    expect(tensor.isDisposed).toBe(true);
    scope.end();
    scope.end();
  });
});

it('tidy keeps the tensors of its result, in any container', async () => {
  await expectNoLeak(() => {
    const result = tidy(() => {
      const x = tf.scalar(2);
      return { square: tf.square(x), list: [tf.add(x, 1)], name: 'two' };
    });
    expect(result.square.dataSync()[0]).toBe(4);
    expect(result.list[0]!.dataSync()[0]).toBe(3);
    expect(result.name).toBe('two');
    tf.dispose([result.square, result.list]);
  });
});
