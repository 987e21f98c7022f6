import { expectNoLeak, spread } from '@blip2/testing';
import { describeBackends } from '@blip2/testing/backends';
import { expectGradient } from '@blip2/testing/gradients';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { linear } from './linear.ts';

/** Σ over inputs of x·w, plus b, one output after the other, in 64-bit numbers. */
function naiveLinear(x: tf.Tensor, weight: tf.Tensor2D, bias?: tf.Tensor1D): number[] {
  const [outputs, inputs] = weight.shape;
  const [xs, ws, bs] = [x.dataSync(), weight.dataSync(), bias?.dataSync()];
  const y: number[] = [];
  for (let row = 0; row < x.size / inputs; row++) {
    for (let output = 0; output < outputs; output++) {
      let sum = bs?.[output] ?? 0;
      for (let input = 0; input < inputs; input++) sum += xs[row * inputs + input]! * ws[output * inputs + input]!;
      y.push(sum);
    }
  }
  return y;
}

describeBackends(() => {
  describe('linear', () => {
    let weight: tf.Tensor2D;
    let bias: tf.Tensor1D;
    beforeAll(() => {
      weight = spread([5, 7], 1);
      bias = spread([5], 2);
    });

    it.each([{ shape: [1, 7] }, { shape: [3, 7] }, { shape: [2, 3, 7] }, { shape: [2, 1, 3, 7] }])(
      'equals the sums, one by one, for $shape',
      ({ shape }) => {
        const x = spread(shape as [number, number], 3);
        const y = linear({ weight, bias }, x);
        expect(y.shape).toEqual([...shape.slice(0, -1), 5]);
        expect(y.dataSync()).toBeAllclose(naiveLinear(x, weight, bias), 1e-6);
        expect(linear({ weight }, x).dataSync()).toBeAllclose(naiveLinear(x, weight), 1e-6);
      },
    );

    it('is exact enough where the fast kernel works in tiles', () => {
      const wide = spread<tf.Rank.R2>([67, 130], 4);
      const x = spread<tf.Rank.R3>([2, 9, 130], 5);
      expect(linear({ weight: wide }, x).dataSync()).toBeAllclose(naiveLinear(x, wide), 1e-5);
    });

    it('is the same product where rows go in several pieces', () => {
      const narrow = spread<tf.Rank.R2>([2, 3000], 8);
      const x = spread<tf.Rank.R2>([1101, 3000], 9); // 3.3 million numbers, an odd number of rows
      expect(linear({ weight: narrow }, x).dataSync()).toBeAllclose(naiveLinear(x, narrow), 1e-4);
    });

    it('has the same gradients where rows go in several pieces', () => {
      const x = spread<tf.Rank.R2>([1101, 2], 8);
      const wide = spread<tf.Rank.R2>([3000, 2], 9);
      const dy = spread<tf.Rank.R2>([1101, 3000], 10);
      const expected = tf.grads((a, b) => tf.matMul(a, tf.transpose(b)))([x, wide], dy);
      const actual = tf.grads((a, b) => linear({ weight: b as tf.Tensor2D }, a))([x, wide], dy);
      actual.forEach((gradient, index) => expect(gradient).toBeAllclose(expected[index]!, 1e-4));
    });

    it('has the gradients of its input, its weight and its bias', () => {
      const x = spread<tf.Rank.R3>([2, 3, 7], 6);
      const towards = spread<tf.Rank.R3>([2, 3, 5], 7);
      const loss = (y: tf.Tensor): tf.Scalar => tf.sum(tf.square(tf.sub(y, towards)));
      expectGradient((v) => loss(linear({ weight, bias }, v)), x);
      expectGradient((v) => loss(linear({ weight: v as tf.Tensor2D, bias }, x)), weight);
      expectGradient((v) => loss(linear({ weight, bias: v as tf.Tensor1D }, x)), bias);
    });

    it('refuses an input of another width', () => {
      expect(() => linear({ weight }, spread<tf.Rank.R2>([2, 6]))).toThrowErrorMatchingInlineSnapshot(
        `[ShapeError: linear: x is [2, 6], expected [..., 7], because the weight is [5, 7].]`,
      );
    });

    it('leaves nothing behind but its result', async () => {
      const x = spread<tf.Rank.R3>([2, 3, 7]);
      await expectNoLeak(() => linear({ weight, bias }, x).dispose());
    });
  });
});
