import { attend } from '@blip2/core';
import { spread } from '@blip2/testing';
import { describeBackends } from '@blip2/testing/backends';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank } from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { attendShared } from './shared-attention.ts';

describeBackends(() => {
  it('is attention over both parts in one piece, the shared one repeated for each beam', () => {
    const sizes = fc.record({
      prompts: fc.integer({ min: 1, max: 3 }),
      beams: fc.integer({ min: 1, max: 3 }),
      tokens: fc.integer({ min: 1, max: 3 }),
      shared: fc.integer({ min: 0, max: 4 }),
      keys: fc.integer({ min: 1, max: 4 }),
    });
    fc.assert(
      fc.property(sizes, ({ prompts, beams, tokens, shared, keys }) =>
        tf.tidy(() => {
          const [rows, heads, headWidth] = [prompts * beams, 2, 5];
          const query = spread<Rank.R4>([rows, heads, tokens, headWidth], 1);
          const kept = (batch: number, length: number, seed: number): { key: tf.Tensor4D; value: tf.Tensor4D } => ({
            key: spread<Rank.R4>([batch, heads, length, headWidth], seed),
            value: spread<Rank.R4>([batch, heads, length, headWidth], seed + 1),
          });
          const [prompt, own] = [kept(prompts, shared, 2), kept(rows, keys, 4)];
          const bias = spread<Rank.R4>([rows, 1, tokens, shared + keys], 6);
          const owner = tf.tensor1d(
            Array.from({ length: rows }, (_, row) => Math.floor(row / beams)),
            'int32',
          );
          // wasm cannot gather rows of nothing
          const repeated = (part: 'key' | 'value'): tf.Tensor4D[] => (shared > 0 ? [tf.gather(prompt[part], owner)] : []);
          const whole = (part: 'key' | 'value'): tf.Tensor4D => tf.concat([...repeated(part), own[part]], 2);
          const actual = attendShared(query, prompt, own, { scale: 0.3, bias });
          expect(actual).toBeAllclose(attend(query, whole('key'), whole('value'), { scale: 0.3, bias }), 1e-5);
        }),
      ),
      { numRuns: 60 },
    );
  });
});
