import { expectNoLeak } from '@blip2/testing';
import { describeBackends } from '@blip2/testing/backends';
import '@blip2/testing/gradients';
import * as tf from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { detached } from './detached.ts';

describeBackends(() => {
  const x = tf.tensor1d([1, 2, 3]);

  it('is a constant to gradients', () => {
    const gradient = tf.grad((value) =>
      tf.sum(
        tf.mul(
          value,
          detached(() => tf.square(value)),
        ),
      ),
    )(x);
    expect(gradient).toBeAllclose([1, 4, 9], 1e-6);
  });

  it('may choose rows by what is differentiated', () => {
    const gradient = tf.grad((value) => {
      const best = detached(() => tf.cast(tf.argMax(value), 'int32'));
      return tf.sum(tf.mul(tf.oneHot(best, 3), value));
    })(x);
    expect(gradient).toBeAllclose([0, 0, 1], 1e-6);
  });

  it('leaves nothing behind but the result', () => expectNoLeak(() => detached(() => tf.add(tf.square(x), 1)).dispose()));
});
