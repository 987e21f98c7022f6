import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { ConfigError } from '../errors.ts';
import { type FusedOperation, runFused } from './fused-kernel.ts';

/** Activation functions by the names that configurations use. */
export type ActivationName = 'gelu' | 'gelu_new' | 'gelu_pytorch_tanh' | 'quick_gelu' | 'relu' | 'silu';

interface ActivationInputs {
  readonly x: Tensor;
}

const GELU: FusedOperation<ActivationInputs, { readonly approximate: 'none' | 'tanh' }> = {
  kernel: 'FusedGelu',
  inputs: ['x'],
  saved: ['x'],
  compute: ({ x }, { approximate }) =>
    tf.mul(tf.mul(x, 0.5), tf.add(approximate === 'none' ? error(x) : tf.tanh(tanhArgument(x)), 1)),
  gradients: (dy, { x }, { approximate }) => ({
    x: () => tf.mul(dy, approximate === 'none' ? geluSlope(x) : geluTanhSlope(x)),
  }),
};

/** erf(x/√2) */
function error(x: Tensor): Tensor {
  return tf.erf(tf.mul(x, Math.SQRT1_2));
}

/** ½·(1 + erf(x/√2)) + x·exp(−x²/2)/√(2π) */
function geluSlope(x: Tensor): Tensor {
  const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return tf.add(tf.mul(tf.add(error(x), 1), 0.5), tf.mul(x, density));
}

const TANH_SCALE = Math.sqrt(2 / Math.PI);

/** Source: Hendrycks and Gimpel, Gaussian Error Linear Units (arXiv 1606.08415), section 2. */
const CUBE_WEIGHT = 0.044715;

/** √(2/π)·(x + 0.044715·x³) */
function tanhArgument(x: Tensor): Tensor {
  const cube = tf.mul(tf.mul(x, x), x);
  return tf.mul(tf.add(x, tf.mul(cube, CUBE_WEIGHT)), TANH_SCALE);
}

/** ½·(1 + t) + ½·x·(1 − t²)·√(2/π)·(1 + 3·0.044715·x²), where t is the tanh. */
function geluTanhSlope(x: Tensor): Tensor {
  const t = tf.tanh(tanhArgument(x));
  const inner = tf.mul(tf.add(tf.mul(tf.square(x), 3 * CUBE_WEIGHT), 1), TANH_SCALE);
  return tf.mul(tf.add(tf.add(t, 1), tf.mul(x, tf.mul(tf.sub(1, tf.square(t)), inner))), 0.5);
}

/** ½·x·(1 + erf(x/√2)) — the exact form, of EVA, BERT and BLIP-2's Flan-T5. */
export function gelu<X extends Tensor>(x: X): X {
  return runFused(GELU, { x }, { approximate: 'none' });
}

/** ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) — the approximation plain Flan-T5 uses. */
export function geluTanh<X extends Tensor>(x: X): X {
  return runFused(GELU, { x }, { approximate: 'tanh' });
}

const SIGMOID_GATE: FusedOperation<ActivationInputs, { readonly alpha: number }> = {
  kernel: 'FusedQuickGelu',
  inputs: ['x'],
  saved: ['x'],
  compute: ({ x }, { alpha }) => tf.mul(x, gate(x, alpha)),
  gradients: (dy, { x }, { alpha }) => ({
    x: () => {
      const open = gate(x, alpha);
      // s + x·α·s·(1 − s), where s is the sigmoid
      return tf.mul(dy, tf.mul(open, tf.add(tf.mul(tf.mul(x, alpha), tf.sub(1, open)), 1)));
    },
  }),
};

/** sigmoid(α·x) */
function gate(x: Tensor, alpha: number): Tensor {
  return tf.sigmoid(alpha === 1 ? x : tf.mul(x, alpha));
}

/** x·sigmoid(1.702·x) — CLIP's approximation. */
export function quickGelu<X extends Tensor>(x: X): X {
  return runFused(SIGMOID_GATE, { x }, { alpha: 1.702 });
}

/** x·sigmoid(x), also called swish. */
export function silu<X extends Tensor>(x: X): X {
  return runFused(SIGMOID_GATE, { x }, { alpha: 1 });
}

const ACTIVATIONS: Readonly<Record<ActivationName, <X extends Tensor>(x: X) => X>> = {
  gelu,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  quick_gelu: quickGelu,
  relu: (x) => tf.relu(x),
  silu,
};

/** The names {@link activation} knows. */
export const ACTIVATION_NAMES: readonly ActivationName[] = Object.keys(ACTIVATIONS) as ActivationName[];

/**
 * Applies an activation by its configuration name.
 * @throws {ConfigError} for a name it does not know.
 */
export function activation<X extends Tensor>(name: ActivationName, x: X): X {
  if (!Object.hasOwn(ACTIVATIONS, name)) {
    throw new ConfigError(`activation: '${String(name)}' is not known. Known are ${ACTIVATION_NAMES.join(', ')}.`);
  }
  return ACTIVATIONS[name](x);
}
