import { expectNoLeak, readGolden, spread, TOLERANCE } from '@blip2/testing';
import { describeBackends } from '@blip2/testing/backends';
import { expectGradient } from '@blip2/testing/gradients';
import * as tf from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { activation, ACTIVATION_NAMES, type ActivationName } from './activations.ts';

const golden = readGolden('models/ops');

describeBackends(() => {
  it.each(['gelu', 'gelu_new', 'quick_gelu'] as const)('%s equals the reference', (name) => {
    expect(activation(name, golden.tensor('activation.x'))).toBeAllclose(golden.get(`activation.${name}`), TOLERANCE.activations);
  });

  it('the two forms of gelu differ by more than the tolerance', () => {
    const x = golden.tensor('activation.x');
    expect(activation('gelu', x)).not.toBeAllclose(golden.get('activation.gelu_new'), TOLERANCE.activations);
    expect(activation('gelu_pytorch_tanh', x)).toBeAllclose(activation('gelu_new', x), 0);
  });

  it('relu and silu equal their formulas', () => {
    const x = [-20, -1.5, -0.25, 0, 0.25, 1.5, 20];
    expect(activation('relu', tf.tensor1d(x)).dataSync()).toBeAllclose(x.map((v) => Math.max(0, v)), 0); // prettier-ignore
    expect(activation('silu', tf.tensor1d(x)).dataSync()).toBeAllclose(x.map((v) => v / (1 + Math.exp(-v))), 1e-6); // prettier-ignore
  });

  it.each(ACTIVATION_NAMES)('%s has a gradient and leaves nothing behind', async (name) => {
    const x = spread<tf.Rank.R1>([12], 3);
    expectGradient((v) => tf.sum(tf.square(activation(name, v))), x);
    await expectNoLeak(() => activation(name, x).dispose());
  });
});

it.each(['swish', 'toString', ''])('does not know %j', (name) => {
  expect(() => activation(name as ActivationName, tf.scalar(1))).toThrow(/is not known. Known are gelu, gelu_new, .*silu\./);
});
