import { expectNoLeak, readGolden, spread, TOLERANCE } from '@blip2/testing';
import { describeBackends } from '@blip2/testing/backends';
import { expectGradient } from '@blip2/testing/gradients';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { l2Normalize, layerNorm, rmsNorm } from './norm.ts';

const golden = readGolden('models/ops');

describeBackends(() => {
  describe('layerNorm', () => {
    it.each([1e-12, 1e-6, 1e-5])('equals the reference with ε = %s', (epsilon) => {
      const name = { 1e-12: '1e-12', 1e-6: '1e-06', 1e-5: '1e-05' }[epsilon];
      const params = { weight: golden.tensor<tf.Rank.R1>('norm.weight'), bias: golden.tensor<tf.Rank.R1>('norm.bias') };
      const y = layerNorm(params, golden.tensor('norm.x'), epsilon);
      expect(y).toBeAllclose(golden.get(`norm.layer_norm_${name}`), TOLERANCE.activations);
    });

    it('shows a wrong epsilon', () => {
      const params = { weight: golden.tensor<tf.Rank.R1>('norm.weight'), bias: golden.tensor<tf.Rank.R1>('norm.bias') };
      const y = layerNorm(params, golden.tensor('norm.x'), 1e-5);
      expect(y).not.toBeAllclose(golden.get('norm.layer_norm_1e-12'), TOLERANCE.activations);
    });

    it('has the gradients of its input and its parameters', () => {
      const x = spread<tf.Rank.R2>([3, 8], 1);
      const params = { weight: spread<tf.Rank.R1>([8], 2), bias: spread<tf.Rank.R1>([8], 3) };
      const mix = spread<tf.Rank.R2>([3, 8], 4);
      const loss = (y: tf.Tensor): tf.Scalar => tf.sum(tf.mul(tf.square(y), mix));
      expectGradient((v) => loss(layerNorm(params, v, 1e-6)), x);
      expectGradient((v) => loss(layerNorm({ ...params, weight: v as tf.Tensor1D }, x, 1e-6)), params.weight);
      expectGradient((v) => loss(layerNorm({ ...params, bias: v as tf.Tensor1D }, x, 1e-6)), params.bias);
    });
  });

  describe('rmsNorm', () => {
    it('equals the reference', () => {
      const y = rmsNorm({ weight: golden.tensor<tf.Rank.R1>('norm.weight') }, golden.tensor('norm.x'), 1e-6);
      expect(y).toBeAllclose(golden.get('norm.rms_1e-06'), TOLERANCE.activations);
    });

    it('has a gradient', () => {
      const weight = spread<tf.Rank.R1>([8], 2);
      const mix = spread<tf.Rank.R2>([3, 8], 4);
      expectGradient((v) => tf.sum(tf.mul(rmsNorm({ weight }, v, 1e-6), mix)), spread<tf.Rank.R2>([3, 8], 1));
    });
  });

  describe('l2Normalize', () => {
    it('equals the reference, zero and tiny rows too', () => {
      expect(l2Normalize(golden.tensor('normalize.x'))).toBeAllclose(golden.get('normalize.y'), TOLERANCE.similarities);
    });

    it('has a gradient, and none at zero', () => {
      const mix = spread<tf.Rank.R2>([2, 6], 4);
      expectGradient((v) => tf.sum(tf.mul(l2Normalize(v), mix)), spread<tf.Rank.R2>([2, 6], 1));
      const atZero = tf
        .grad((v) => tf.sum(l2Normalize(v)))(tf.zeros([1, 6]))
        .dataSync();
      expect(atZero.every(Number.isFinite)).toBe(true);
    });
  });

  it('leaves nothing behind but the results', async () => {
    const x = spread<tf.Rank.R2>([3, 8]);
    const weight = spread<tf.Rank.R1>([8]);
    await expectNoLeak(() =>
      tf.dispose([layerNorm({ weight, bias: weight }, x, 1e-6), rmsNorm({ weight }, x, 1e-6), l2Normalize(x)]),
    );
  });
});
