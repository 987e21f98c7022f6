import { spread } from '@blip2/testing';
import { expectGradient } from '@blip2/testing/gradients';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, Scalar, Tensor, Tensor3D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { toyOpt, toyT5 } from './__fixtures__/toy-models.ts';

describe.each([
  { family: 'OPT', make: toyOpt },
  { family: 'OPT, 350m style', make: () => toyOpt({ embeddingWidth: 16, normBefore: false, finalNorm: false }) },
  { family: 'T5', make: toyT5 },
])('$family', ({ make }) => {
  const batch = { prompts: ['a', 'bcd'], targets: ['xyz', 'q'] };

  it('has the slopes of its loss in the visual prompt', async () => {
    const model = await make();
    const visualPrompt = spread<Rank.R3>([2, 3, model.embeddingWidth]);
    expectGradient((x) => model.loss(x as Tensor3D, batch), visualPrompt, { step: 0.01 });
    visualPrompt.dispose();
    model.dispose();
  });

  it('is lowered by going downhill', async () => {
    const model = await make();
    const before = tf.memory().numTensors;
    let visualPrompt: Tensor = spread<Rank.R3>([2, 3, model.embeddingWidth]);
    const losses: number[] = [];
    for (let step = 0; step < 5; step++) {
      const { value, grad } = tf.valueAndGrad((x) => model.loss(x as Tensor3D, batch))(visualPrompt) as {
        value: Scalar;
        grad: Tensor;
      };
      losses.push((await value.data())[0]!);
      const next = tf.tidy(() => tf.sub(visualPrompt, tf.mul(grad, 0.3)));
      tf.dispose([value, grad, visualPrompt]);
      visualPrompt = next;
    }
    visualPrompt.dispose();
    expect(losses.toSorted((a, b) => b - a)).toEqual(losses);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! - 0.01);
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });
});
