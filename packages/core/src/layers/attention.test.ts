import { expectNoLeak, spread } from '@blip2/testing';
import { describeBackends } from '@blip2/testing/backends';
import { expectGradient } from '@blip2/testing/gradients';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { attend, attentionProbabilities, causalBias, MASKED, mergeHeads, paddingBias, splitHeads } from './attention.ts';
import { dropoutFrom } from './dropout.ts';

type Array4D = number[][][][];

/** Attention written with loops over batch, heads, queries and keys, in 64-bit numbers. */
function naiveAttention(
  query: tf.Tensor4D,
  key: tf.Tensor4D,
  value: tf.Tensor4D,
  scale: number,
  bias: (batch: number, head: number, query: number, key: number) => number = () => 0,
): number[] {
  const [q, k, v] = [query, key, value].map((tensor) => tensor.arraySync()) as [Array4D, Array4D, Array4D];
  return q.flatMap((heads, batch) =>
    heads.flatMap((queries, head) =>
      queries.flatMap((row, i) => {
        const scores = k[batch]![head]!.map(
          (other, j) => scale * other.reduce((sum, x, axis) => sum + x * row[axis]!, 0) + bias(batch, head, i, j),
        );
        const highest = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - highest));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        return row.map((_, axis) => weights.reduce((sum, weight, j) => sum + (weight / total) * v[batch]![head]![j]![axis]!, 0));
      }),
    ),
  );
}

const random = (shape: [number, number, number, number], seed: number): tf.Tensor4D => spread<tf.Rank.R4>(shape, seed);

describeBackends(() => {
  describe('heads', () => {
    it('are neighbouring columns', () => {
      const x = tf.tensor3d([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [1, 3, 4]);
      const split = splitHeads(x, 2); // [1, 2, 3, 2]
      expect(split.arraySync()).toEqual([[[[0, 1], [4, 5], [8, 9]], [[2, 3], [6, 7], [10, 11]]]]); // prettier-ignore
      expect(mergeHeads(split)).toBeAllclose(x, 0);
    });
  });

  describe('attend', () => {
    it.each([
      { name: 'small', query: [2, 3, 4, 5], key: [2, 3, 6, 5] },
      { name: 'larger than the batch kernel takes', query: [1, 2, 60, 40], key: [1, 2, 50, 40] },
    ] as const)('equals the loops: $name', ({ query, key }) => {
      const [q, k, v] = [random([...query], 1), random([...key], 2), random([...key], 3)];
      for (const scale of [1, 0.3]) {
        expect(attend(q, k, v, { scale })).toBeAllclose(naiveAttention(q, k, v, scale), 1e-5);
      }
    });

    it('adds a bias for each pair', () => {
      const [q, k, v] = [random([2, 3, 4, 5], 1), random([2, 3, 6, 5], 2), random([2, 3, 6, 5], 3)];
      const bias = random([1, 3, 4, 6], 4); // as T5's position bias: the same for every row of the batch
      const values = bias.arraySync();
      const expected = naiveAttention(q, k, v, 1, (_, head, i, j) => values[0]![head]![i]![j]!);
      expect(attend(q, k, v, { scale: 1, bias })).toBeAllclose(expected, 1e-5);
    });

    it('takes nothing from masked keys', () => {
      const [q, k, v] = [random([2, 1, 3, 4], 1), random([2, 1, 5, 4], 2), random([2, 1, 5, 4], 3)];
      const mask = tf.tensor2d([[1, 1, 1, 0, 0], [0, 1, 1, 1, 1]], [2, 5], 'int32'); // prettier-ignore
      const bias = paddingBias(mask);
      const visible = mask.arraySync();
      const expected = naiveAttention(q, k, v, 0.5, (batch, _, __, j) => (visible[batch]![j] === 1 ? 0 : -Infinity));
      expect(attend(q, k, v, { scale: 0.5, bias })).toBeAllclose(expected, 1e-5);
      const probabilities = attentionProbabilities(q, k, { scale: 0.5, bias }).arraySync();
      expect(probabilities[0]![0]!.every((row) => row[3] === 0 && row[4] === 0)).toBe(true);
    });

    it('drops probabilities, and nothing else', () => {
      const [q, k, v] = [random([1, 2, 3, 4], 1), random([1, 2, 5, 4], 2), random([1, 2, 5, 4], 3)];
      const pool = tf.tensor1d(Array.from({ length: 60 }, (_, index) => ((index * 37) % 60) / 60));
      const dropped = dropoutFrom(pool, 0.4)(attentionProbabilities(q, k, { scale: 0.5 })); // [1, 2, 3, 5]
      expect(attend(q, k, v, { scale: 0.5 }, dropoutFrom(pool, 0.4))).toBeAllclose(tf.matMul(dropped, v), 1e-6);
      expect(attend(q, k, v, { scale: 0.5 }, dropoutFrom(pool, 0))).toBeAllclose(attend(q, k, v, { scale: 0.5 }), 1e-6);
    });

    it('stays a number where everything is masked', () => {
      const [q, k] = [random([1, 1, 2, 4], 1), random([1, 1, 3, 4], 2)];
      const bias = paddingBias(tf.zeros([1, 3]));
      const rows = attentionProbabilities(q, k, { scale: 1, bias }).arraySync()[0]![0]!;
      for (const row of rows) expect(row.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5);
    });

    it('has the gradients of queries, keys and values', () => {
      const [q, k, v] = [random([1, 2, 3, 4], 1), random([1, 2, 3, 4], 2), random([1, 2, 3, 4], 3)];
      const loss = (y: tf.Tensor): tf.Scalar => tf.sum(tf.square(y));
      expectGradient((x) => loss(attend(x as tf.Tensor4D, k, v, { scale: 0.5 })), q, { step: 0.1 });
      expectGradient((x) => loss(attend(q, x as tf.Tensor4D, v, { scale: 0.5 })), k, { step: 0.1 });
      expectGradient((x) => loss(attend(q, k, x as tf.Tensor4D, { scale: 0.5 })), v);
    });
  });

  describe('masks', () => {
    it('paddingBias is 0 for tokens and MASKED for padding', () => {
      const bias = paddingBias(tf.tensor2d([1, 0, 1, 1], [2, 2], 'int32'));
      expect(bias).toBeAllclose({ shape: [2, 1, 1, 2], data: new Float32Array([0, MASKED, 0, 0]) }, 0);
    });

    it('causalBias lets the last positions see all that came before', () => {
      const two = new Float32Array([0, 0, 0, MASKED, 0, 0, 0, 0]);
      expect(causalBias(2, 4)).toBeAllclose({ shape: [1, 1, 2, 4], data: two }, 0);
      expect(causalBias(1, 3)).toBeAllclose({ shape: [1, 1, 1, 3], data: new Float32Array(3) }, 0);
    });

    it('one pass under a causal mask equals a pass for each prefix', () => {
      const [q, k, v] = [random([1, 1, 4, 3], 1), random([1, 1, 4, 3], 2), random([1, 1, 4, 3], 3)];
      const whole = attend(q, k, v, { scale: 1, bias: causalBias(4, 4) });
      for (let length = 1; length <= 4; length++) {
        const [keys, values] = [k, v].map((x) => tf.slice(x, [0, 0, 0, 0], [1, 1, length, 3])) as [tf.Tensor4D, tf.Tensor4D];
        const query = tf.slice(q, [0, 0, length - 1, 0], [1, 1, 1, 3]);
        expect(tf.slice(whole, [0, 0, length - 1, 0], [1, 1, 1, 3])).toBeAllclose(
          attend(query, keys, values, { scale: 1 }),
          1e-6,
        );
      }
    });
  });

  it('leaves nothing behind but the results', async () => {
    const [q, k] = [random([1, 2, 60, 40], 1), random([1, 2, 60, 40], 2)];
    const [x, mask] = [spread<tf.Rank.R3>([1, 4, 6]), tf.ones([1, 2]) as tf.Tensor2D];
    await expectNoLeak(() => {
      tf.dispose([attend(q, k, k, { scale: 0.5 }), attentionProbabilities(q, k, { scale: 1 })]);
      tf.dispose([splitHeads(x, 2), mergeHeads(q), causalBias(2, 3), paddingBias(mask)]);
    });
  });
});
