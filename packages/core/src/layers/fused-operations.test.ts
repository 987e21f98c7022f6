import { expectNoLeak, spread } from '@blip2/testing';
import { describeBackends } from '@blip2/testing/backends';
import { expectGradient } from '@blip2/testing/gradients';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gelu, geluTanh, quickGelu, silu } from './activations.ts';
import { attend } from './attention.ts';
import { IGNORED_LABEL, softmaxCrossEntropy } from './cross-entropy.ts';
import { FUSED_KERNELS, type FusedKernel } from './fused-kernel.ts';
import { linear } from './linear.ts';
import { layerNorm, rmsNorm } from './norm.ts';

/** A fused operation, and the same in single tfjs operations, whose gradients tfjs knows. */
interface Case {
  readonly name: string;
  readonly kernel: FusedKernel;
  /** Of the inputs that have gradients. */
  readonly shapes: readonly number[][];
  readonly fused: (...inputs: Tensor[]) => Tensor;
  readonly plain: (...inputs: Tensor[]) => Tensor;
}

const labels = [2, IGNORED_LABEL, 0, 4];

const plainAttention = (query: Tensor, key: Tensor, value: Tensor, bias?: Tensor): Tensor => {
  const scores = tf.mul(tf.matMul(query, key, false, true), 0.5);
  return tf.matMul(tf.softmax(bias ? tf.add(scores, bias) : scores), value);
};

const attentionCase = (name: string, bias?: number[], queries = [2, 3, 4, 5], keys = [2, 3, 6, 5]): Case => ({
  name: `attend, ${name}`,
  kernel: 'FusedAttention',
  shapes: [queries, keys, keys, ...(bias ? [bias] : [])],
  fused: (query, key, value, given) => attend(query as Tensor4D, key as Tensor4D, value as Tensor4D, { scale: 0.5, bias: given }),
  plain: plainAttention as Case['plain'],
});

const CASES: readonly Case[] = [
  {
    name: 'linear, to fewer columns',
    kernel: 'FusedLinear',
    shapes: [[2, 3, 7], [5, 7], [5]],
    fused: (x, weight, bias) => linear({ weight: weight as Tensor2D, bias: bias as Tensor1D }, x),
    plain: (x, weight, bias) => tf.add(tf.reshape(tf.matMul(tf.reshape(x, [6, 7]), tf.transpose(weight!)), [2, 3, 5]), bias!),
  },
  {
    name: 'linear, to more columns, without bias',
    kernel: 'FusedLinear',
    shapes: [
      [3, 4],
      [9, 4],
    ],
    fused: (x, weight) => linear({ weight: weight as Tensor2D }, x),
    plain: (x, weight) => tf.matMul(x, tf.transpose(weight)),
  },
  {
    name: 'layerNorm',
    kernel: 'FusedLayerNorm',
    shapes: [[2, 3, 8], [8], [8]],
    fused: (x, weight, bias) => layerNorm({ weight: weight as Tensor1D, bias: bias as Tensor1D }, x, 1e-6),
    plain: (x, weight, bias) => {
      const { mean, variance } = tf.moments(x, -1, true);
      return tf.add(tf.mul(tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 1e-6))), weight!), bias!);
    },
  },
  {
    name: 'rmsNorm',
    kernel: 'FusedRmsNorm',
    shapes: [[2, 3, 8], [8]],
    fused: (x, weight) => rmsNorm({ weight: weight as Tensor1D }, x, 1e-6),
    plain: (x, weight) => tf.mul(tf.div(x, tf.sqrt(tf.add(tf.mean(tf.square(x), -1, true), 1e-6))), weight!),
  },
  {
    name: 'gelu',
    kernel: 'FusedGelu',
    shapes: [[3, 8]],
    fused: gelu,
    plain: (x) => tf.mul(x, tf.mul(0.5, tf.add(1, tf.erf(tf.div(x, Math.SQRT2))))),
  },
  {
    name: 'geluTanh',
    kernel: 'FusedGelu',
    shapes: [[3, 8]],
    fused: geluTanh,
    plain: (x) => {
      const inner = tf.mul(Math.sqrt(2 / Math.PI), tf.add(x, tf.mul(0.044715, tf.pow(x, 3))));
      return tf.mul(tf.mul(0.5, x), tf.add(1, tf.tanh(inner)));
    },
  },
  {
    name: 'quickGelu',
    kernel: 'FusedQuickGelu',
    shapes: [[3, 8]],
    fused: quickGelu,
    plain: (x) => tf.div(x, tf.add(1, tf.exp(tf.mul(x, -1.702)))),
  },
  {
    name: 'silu',
    kernel: 'FusedQuickGelu',
    shapes: [[3, 8]],
    fused: silu,
    plain: (x) => tf.div(x, tf.add(1, tf.exp(tf.neg(x)))),
  },
  attentionCase('no bias'),
  attentionCase('a bias for each pair', [2, 3, 4, 6]),
  attentionCase('a position bias', [1, 3, 4, 6]),
  attentionCase('a padding bias', [2, 1, 1, 6]),
  attentionCase('a bias of lower rank', [4, 6]),
  attentionCase('larger than the batch kernel takes', [1, 1, 1, 50], [1, 2, 60, 40], [1, 2, 50, 40]),
  ...[{}, { labelSmoothing: 0.1 }].map((options): Case => ({
    name: `softmaxCrossEntropy ${JSON.stringify(options)}`,
    kernel: 'FusedSoftmaxCrossEntropy',
    shapes: [[4, 5]],
    fused: (logits) =>
      softmaxCrossEntropy(logits as Tensor2D, tf.tensor1d(labels, 'int32'), { ignoreIndex: IGNORED_LABEL, ...options }),
    plain: (logits) => {
      const smoothing = options.labelSmoothing ?? 0;
      const wanted = labels.map((label) =>
        Array.from({ length: 5 }, (_, index) => (label < 0 ? 0 : (label === index ? 1 - smoothing : 0) + smoothing / 5)),
      );
      return tf.neg(tf.sum(tf.mul(tf.log(tf.softmax(logits)), tf.tensor2d(wanted)), 1));
    },
  })),
];

/** Numbers in [−2, 2). */
const inputsOf = ({ shapes }: Case): Tensor[] => shapes.map((shape, index) => tf.mul(spread(shape as [number], index + 1), 2));

describeBackends((backend) => {
  describe.each(CASES)('$name', (operation) => {
    const { fused, plain } = operation;
    let inputs: Tensor[];
    let dy: Tensor;
    beforeAll(() => {
      inputs = inputsOf(operation);
      dy = spread(plain(...inputs).shape as [number], 9);
    });

    it('equals its decomposition', () => {
      expect(fused(...inputs)).toBeAllclose(plain(...inputs), 2e-6);
    });

    it('has the gradients of its decomposition, all at once and one by one', () => {
      const expected = tf.grads(plain)(inputs, dy);
      const actual = tf.grads(fused)(inputs, dy);
      inputs.forEach((input, index) => {
        const alone = tf.grad((x) => fused(...inputs.with(index, x)))(input, dy);
        expect(actual[index]!).toBeAllclose(expected[index]!, 1e-5);
        expect(alone).toBeAllclose(expected[index]!, 1e-5);
      });
    });

    it('has the gradients of central differences', () => {
      inputs.forEach((input, index) => {
        // Sums of many numbers: a small step would measure their rounding.
        const step = operation.kernel === 'FusedAttention' ? 0.1 : 0.02;
        expectGradient((x) => tf.sum(tf.mul(fused(...inputs.with(index, x)), dy)), input, { step });
      });
    });

    it('leaves nothing behind, with and without gradients', async () => {
      await expectNoLeak(() => tf.tidy(() => fused(...inputs)).dispose());
      await expectNoLeak(() => tf.dispose(tf.grads(fused)(inputs, dy)));
      await expectNoLeak(() =>
        tf
          .grad((x) => fused(x, ...inputs.slice(1)))(inputs[0]!, dy)
          .dispose(),
      );
    });
  });

  it('has a kernel for each name by now', () => {
    for (const name of FUSED_KERNELS) expect(tf.getKernel(name, backend), name).toBeDefined();
  });
});

describe('a backend with kernels of its own', () => {
  let calls: Record<string, unknown>[];
  const own = (name: FusedKernel, compute: (inputs: tf.NamedTensorInfoMap, attributes: tf.NamedAttrMap) => Tensor): void => {
    if (tf.getKernel(name, 'cpu')) tf.unregisterKernel(name, 'cpu');
    tf.registerKernel({
      kernelName: name,
      backendName: 'cpu',
      kernelFunc: ({ inputs, attrs }) => {
        calls.push({ name, inputs: Object.keys(inputs), attributes: attrs });
        return compute(inputs, attrs!);
      },
    });
  };

  beforeAll(async () => {
    await tf.setBackend('cpu');
    // Values by loops in 64-bit numbers: nothing of tfjs is inside.
    own('FusedLayerNorm', (inputs, { epsilon }) => {
      const { x, weight, bias } = inputs as unknown as Record<'x' | 'weight' | 'bias', Tensor>;
      const [w, b, width] = [weight.dataSync(), bias.dataSync(), weight.size];
      const y = x.dataSync().map((value, index, all) => {
        const row = Array.from(all.slice(index - (index % width), index - (index % width) + width));
        const mean = row.reduce((sum, v) => sum + v, 0) / width;
        const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / width;
        return ((value - mean) / Math.sqrt(variance + (epsilon as number))) * w[index % width]! + b[index % width]!;
      });
      return tf.tensor(y, x.shape);
    });
    own('FusedLinear', (inputs) => {
      const { x, weight, bias } = inputs as unknown as Record<'x' | 'weight' | 'bias', Tensor>;
      const [xs, ws] = [x.arraySync(), weight.arraySync()] as [number[][], number[][]];
      const bs = bias?.dataSync();
      return tf.tensor(xs.map((row) => ws.map((w, o) => w.reduce((sum, v, i) => sum + v * row[i]!, bs?.[o] ?? 0))));
    });
  });
  afterAll(async () => {
    for (const name of ['FusedLayerNorm', 'FusedLinear']) tf.unregisterKernel(name, 'cpu');
    await tf.setBackend('wasm');
  });

  it.each(CASES.filter(({ kernel }) => kernel === 'FusedLayerNorm' || kernel === 'FusedLinear'))(
    'computes $name itself, with the same gradients',
    ({ fused, plain, kernel, ...operation }) => {
      calls = [];
      const inputs = inputsOf({ fused, plain, kernel, ...operation });
      const y = fused(...inputs);
      expect(calls.map(({ name }) => name)).toEqual([kernel]);
      expect(y).toBeAllclose(plain(...inputs), 2e-6);
      const dy = spread(y.shape as [number], 9);
      const expected = tf.grads(plain)(inputs, dy);
      tf.grads(fused)(inputs, dy).forEach((gradient, index) => expect(gradient).toBeAllclose(expected[index]!, 1e-5));
    },
  );

  it('is given the inputs that there are, and the attributes', () => {
    calls = [];
    const [x, square, row] = [spread<tf.Rank.R2>([2, 3], 1), spread<tf.Rank.R2>([3, 3], 2), spread<tf.Rank.R1>([3], 3)];
    linear({ weight: square }, x);
    linear({ weight: square, bias: row }, x);
    layerNorm({ weight: row, bias: row }, x, 1e-5);
    expect(calls).toEqual([
      { name: 'FusedLinear', inputs: ['x', 'weight'], attributes: {} },
      { name: 'FusedLinear', inputs: ['x', 'weight', 'bias'], attributes: {} },
      { name: 'FusedLayerNorm', inputs: ['x', 'weight', 'bias'], attributes: { epsilon: 1e-5 } },
    ]);
  });
});

it('computes no gradient that nobody asks for', async () => {
  const [x, weight] = [spread<tf.Rank.R2>([3, 4], 1), spread<tf.Rank.R2>([5, 4], 2)];
  const productsOf = async (differentiate: () => unknown): Promise<number> => {
    const { kernels } = await tf.profile(() => tf.tidy(() => void differentiate()));
    return kernels.filter(({ name }) => name === tf.BatchMatMul).length;
  };
  const forward = 1;
  expect(await productsOf(() => tf.grad((v) => linear({ weight }, v))(x))).toBe(forward + 1);
  expect(await productsOf(() => tf.grad((v) => linear({ weight: v as Tensor2D }, x))(weight))).toBe(forward + 1);
});
