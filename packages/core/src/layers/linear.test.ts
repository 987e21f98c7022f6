import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { expect, it } from 'vitest';
import { linear } from './linear.ts';

it('equals the transposing product on every backend, for any rank', async () => {
  const weight = tf.randomNormal([5, 7], 0, 1, 'float32', 1) as tf.Tensor2D;
  const bias = tf.randomNormal([5], 0, 1, 'float32', 2) as tf.Tensor1D;
  for (const shape of [
    [1, 7],
    [3, 7],
    [2, 3, 7],
    [2, 1, 3, 7],
  ]) {
    const x = tf.randomNormal(shape, 0, 1, 'float32', 3);
    const naive = tf.add(tf.matMul(tf.reshape(x, [-1, 7]) as tf.Tensor2D, weight, false, true), bias);
    const y = linear({ weight, bias }, x);
    expect(y.shape).toEqual([...shape.slice(0, -1), 5]);
    expect(tf.reshape(y, [-1, 5])).toBeAllclose(naive, 1e-6);
  }
});
