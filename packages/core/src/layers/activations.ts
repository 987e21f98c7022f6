import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { ConfigError } from '../errors.ts';
import { tidy } from '../tensor-scope.ts';

/** Activation functions by the names that configurations use. */
export type ActivationName = 'gelu' | 'gelu_new' | 'gelu_pytorch_tanh' | 'quick_gelu' | 'relu' | 'silu';

/** ½·x·(1 + erf(x/√2)) — the exact form, of EVA, BERT and BLIP-2's Flan-T5. */
export function gelu<X extends Tensor>(x: X): X {
  return tidy(() => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)) as X);
}

/** ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) — the approximation plain Flan-T5 uses. */
export function geluTanh<X extends Tensor>(x: X): X {
  return tidy(() => {
    const cube = tf.mul(tf.mul(x, x), x);
    const inner = tf.mul(tf.add(x, tf.mul(cube, 0.044715)), Math.sqrt(2 / Math.PI));
    return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1)) as X;
  });
}

/** x·sigmoid(1.702·x) — CLIP's approximation. */
export function quickGelu<X extends Tensor>(x: X): X {
  return tidy(() => tf.mul(x, tf.sigmoid(tf.mul(x, 1.702))) as X);
}

/** x·sigmoid(x), also called swish. */
export function silu<X extends Tensor>(x: X): X {
  return tidy(() => tf.mul(x, tf.sigmoid(x)) as X);
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
