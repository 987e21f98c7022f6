import { expectNoLeak, spread } from '@blip2/testing';
import { describeBackends } from '@blip2/testing/backends';
import '@blip2/testing/gradients';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../random.ts';
import { applyDropout, dropoutFrom, dropoutPoolSize } from './dropout.ts';

function drawPool(size: number, seed = 1): tf.Tensor1D {
  const random = seededRandom(seed);
  return tf.tensor1d(Float32Array.from({ length: size }, () => random()));
}

/** Masks of successive calls, 1 where an entry stays. */
function masksOf(calls: number, size: number, rate: number, seed = 1): number[][] {
  const pool = drawPool(dropoutPoolSize(size), seed);
  const dropout = dropoutFrom(pool, rate);
  const ones = tf.ones([size]);
  const masks = Array.from({ length: calls }, () => {
    const dropped = dropout(ones);
    const mask = Array.from(dropped.dataSync(), (value) => (value === 0 ? 0 : 1));
    dropped.dispose();
    return mask;
  });
  tf.dispose([pool, ones]);
  return masks;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The correlation of two lists of 0 and 1. */
function correlation(a: readonly number[], b: readonly number[]): number {
  const [meanA, meanB] = [mean(a), mean(b)];
  const covariance = mean(a.map((value, index) => (value - meanA) * (b[index]! - meanB)));
  return covariance / Math.sqrt(meanA * (1 - meanA) * meanB * (1 - meanB));
}

describeBackends(() => {
  it('keeps the entries whose number is at least the rate, larger by as much as is lost', () => {
    const pool = tf.tensor1d([0.05, 0.5, 0.25, 0.24, 0.9, 0]);
    const x = tf.tensor2d([1, 2, 3, 4, 5, 6], [2, 3]);
    expect(dropoutFrom(pool, 0.25)(x)).toBeAllclose(tf.tensor2d([0, 8 / 3, 4, 0, 20 / 3, 0], [2, 3]), 1e-6);
  });

  it('lets gradients through where it lets values through', () => {
    const pool = drawPool(200);
    const x = spread<tf.Rank.R3>([2, 3, 4]);
    const dropped = dropoutFrom(pool, 0.4)(tf.ones([2, 3, 4]));
    const dy = spread<tf.Rank.R3>([2, 3, 4], 5);
    const gradient = tf.grad((value) => dropoutFrom(pool, 0.4)(value))(x, dy);
    expect(gradient).toBeAllclose(tf.mul(dy, dropped), 1e-6);
  });

  it('does not change a tensor at rate 0', () => {
    const x = spread<tf.Rank.R2>([3, 5]);
    expect(dropoutFrom(drawPool(15), 0)(x)).toBeAllclose(x, 0);
    expect(applyDropout(undefined, x)).toBe(x);
  });

  it('leaves nothing behind but the result', async () => {
    const [pool, x] = [drawPool(100), spread<tf.Rank.R2>([3, 5])];
    await expectNoLeak(() => dropoutFrom(pool, 0.1)(x).dispose());
    await expectNoLeak(() =>
      tf
        .grad((value) => dropoutFrom(pool, 0.1)(value))(x)
        .dispose(),
    );
  });
});

describe('the masks of a step', () => {
  const [calls, size, rate] = [12, 20_000, 0.1];
  const masks = masksOf(calls, size, rate);

  it('keep the share that they should, and the mean with it', () => {
    const deviation = Math.sqrt((rate * (1 - rate)) / size);
    for (const mask of masks) expect(Math.abs(mean(mask) - (1 - rate))).toBeLessThan(4 * deviation);
    // The mean of all of them varies more than that of independent masks would, as they share numbers, but not by much.
    expect(Math.abs(mean(masks.map(mean)) - (1 - rate))).toBeLessThan(2 * deviation);
  });

  it('have the variance of independent entries, in blocks of any place', () => {
    const block = 50;
    const sums = masks.flatMap((mask) =>
      Array.from({ length: size / block }, (_, index) => mean(mask.slice(index * block, (index + 1) * block))),
    );
    const variance = mean(sums.map((sum) => (sum - (1 - rate)) ** 2));
    expect(variance / ((rate * (1 - rate)) / block)).toBeGreaterThan(0.9);
    expect(variance / ((rate * (1 - rate)) / block)).toBeLessThan(1.1);
  });

  it('have nothing to do with each other at the same entry, nor with those of another seed', () => {
    const others = masksOf(1, size, rate, 2);
    const all = [...masks, ...others];
    for (const [index, mask] of all.entries()) {
      for (const other of all.slice(0, index)) expect(Math.abs(correlation(mask, other))).toBeLessThan(5 / Math.sqrt(size));
    }
  });

  it('are the same again from the same numbers', () => expect(masksOf(calls, size, rate)).toEqual(masks));
});

describe('errors', () => {
  it('name a pool that is too small', () => {
    const dropout = dropoutFrom(drawPool(10), 0.1);
    expect(() => dropout(tf.ones([3, 4]))).toThrowErrorMatchingInlineSnapshot(
      `[InputError: dropout: a tensor [3, 4] has 12 entries, and the pool 10 numbers, expected at least as many. Draw 65548 numbers or more; see dropoutPoolSize.]`,
    );
  });

  it('name a rate that leaves nothing', () => {
    expect(() => dropoutFrom(drawPool(10), 1)).toThrowErrorMatchingInlineSnapshot(
      `[InputError: dropoutFrom: the rate is 1, expected 0 or more and less than 1. Leave dropout out for none.]`,
    );
  });
});
