import { expectNoLeak, spread } from '@blip2/testing';
import { describeBackends } from '@blip2/testing/backends';
import { expectGradient } from '@blip2/testing/gradients';
import * as tf from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { embed, gatherRows } from './embedding.ts';

const idTensor = (rows: number[][]): tf.Tensor2D => tf.tensor2d(rows, [rows.length, rows[0]!.length], 'int32');

describeBackends(() => {
  it('picks rows, in order and repeatedly', () => {
    const table = tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]);
    const rows = embed(table, idTensor([[2, 0], [1, 2]])); // prettier-ignore
    expect(rows).toBeAllclose({ shape: [2, 2, 2], data: new Float32Array([5, 6, 1, 2, 3, 4, 5, 6]) }, 0);
  });

  it('adds up the gradients of rows that were picked several times, and gives the others none', () => {
    const ids = idTensor([[2, 0, 2], [4, 2, 0]]); // prettier-ignore
    const dy = spread<tf.Rank.R3>([2, 3, 4], 2);
    const expected = Array.from({ length: 5 }, () => [0, 0, 0, 0]);
    const gradients = dy.arraySync();
    ids
      .arraySync()
      .forEach((row, batch) =>
        row.forEach((id, token) => gradients[batch]![token]!.forEach((value, axis) => (expected[id]![axis]! += value))),
      );
    const gradient = tf.grad((table) => embed(table as tf.Tensor2D, ids))(spread<tf.Rank.R2>([5, 4], 1), dy);
    expect(gradient.shape).toEqual([5, 4]);
    expect(gradient.dataSync()).toBeAllclose(expected.flat(), 1e-6);
  });

  it('has the gradient of central differences', () => {
    const ids = idTensor([[2, 0, 2]]);
    expectGradient((table) => tf.sum(tf.square(embed(table as tf.Tensor2D, ids))), spread<tf.Rank.R2>([3, 4], 1));
  });

  it('takes whole entries of a batch, with their gradient', () => {
    const [x, dy] = [spread<tf.Rank.R3>([3, 2, 4], 1), spread<tf.Rank.R3>([3, 2, 4], 2)];
    const rows = tf.tensor1d([2, 0, 2], 'int32');
    expect(gatherRows(x, rows)).toBeAllclose(tf.gather(x, rows), 0);
    const [first, second, third] = tf.split(dy, 3);
    const expected = tf.concat([second!, tf.zerosLike(second!), tf.add(first!, third!)]);
    expect(tf.grad((v) => gatherRows(v, rows))(x, dy)).toBeAllclose(expected, 1e-6);
  });

  it('leaves nothing behind but the results, with and without a gradient', async () => {
    const [table, ids, one] = [spread<tf.Rank.R2>([3, 4], 1), idTensor([[2, 0, 2]]), tf.scalar(1)];
    const byTable = tf.grad((x) => embed(x as tf.Tensor2D, ids));
    const byFactor = tf.grad((x) => tf.mul(x, embed(table, ids))); // the ids are saved in vain
    await expectNoLeak(() => embed(table, ids).dispose());
    await expectNoLeak(() => byTable(table).dispose());
    await expectNoLeak(() => byFactor(one).dispose());
  });
});
