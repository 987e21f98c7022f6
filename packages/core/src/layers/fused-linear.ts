import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { type FusedOperation, runFused } from './fused-kernel.ts';

interface LinearInputs {
  readonly x: Tensor2D; //      [rows, in]
  readonly weight: Tensor2D; // [out, in]
  readonly bias?: Tensor1D; //  [out]
}

const LINEAR: FusedOperation<LinearInputs, Record<string, never>> = {
  kernel: 'FusedLinear',
  inputs: ['x', 'weight', 'bias'],
  saved: ['x', 'weight'],
  compute: ({ x, weight, bias }) => {
    const y = productTransposed(x, weight); // [rows, out]
    return bias === undefined ? y : tf.add(y, bias); // [rows, out]
  },
  gradients: (dy, { x, weight }) => ({
    x: () => product(dy as Tensor2D, weight), // [rows, in]
    weight: () => transposedProduct(dy as Tensor2D, x), // [out, in]
    bias: () => tf.sum(dy, 0), // [out]
  }),
};

/** x·Wᵀ + b for rows: `[rows, in]` → `[rows, out]`. */
export function linearRows(inputs: LinearInputs): Tensor2D {
  return runFused(LINEAR, inputs, {});
}

/**
 * Numbers of x that are packed at once: with more, the packed copy leaves the processor's cache. 1028×6144 by 1408×6144
 * takes 0.75 s in four pieces of 257 rows, 1.4 s in one.
 */
const PACKED_NUMBERS = 1_600_000;

/**
 * x·Wᵀ for a weight in `[out, in]` layout.
 *
 * The wasm backend has a fast kernel only for untransposed products, and that kernel packs a second copy of
 * its right operand and keeps it. (W·xᵀ)ᵀ is the same product: the activations are transposed and packed, the
 * weights are neither. Measured at 257×1408×6144: 25 GF against 2 GF for the transposing product.
 */
function productTransposed(x: Tensor2D, weight: Tensor2D): Tensor2D {
  if (tf.getBackend() !== 'wasm') return tf.matMul(x, weight, false, true); // [rows, out]
  const [rows, inputs] = x.shape;
  if (rows > 1 && rows * inputs > PACKED_NUMBERS) {
    const half = rows >> 1;
    const halves = tf.split(x, [half, rows - half]) as Tensor2D[]; // [half, in], [rows − half, in]
    return tf.concat(
      halves.map((part) => productTransposed(part, weight)),
      0,
    ); // [rows, out]
  }
  return tf.transpose(tf.matMul(weight, tf.transpose(x))); // [rows, out]
}

/**
 * dy·W. On wasm the transposed weights are a copy, but one that goes at once, unlike the packed one that dy·W would
 * leave behind: 0.23 s for 257×6144 by 6144×1408, against 2.7 s for the transposing product.
 */
function product(dy: Tensor2D, weight: Tensor2D): Tensor2D {
  if (tf.getBackend() !== 'wasm') return tf.matMul(dy, weight); // [rows, in]
  return productTransposed(dy, tf.transpose(weight)); // [rows, in]
}

/**
 * dyᵀ·x. On wasm the narrower of the two is packed, and as a copy, because x and dy live on: 0.16 s for 6144×257 by 257×1408,
 * against 2.0 s for the transposing product.
 */
function transposedProduct(dy: Tensor2D, x: Tensor2D): Tensor2D {
  if (tf.getBackend() !== 'wasm') return tf.matMul(dy, x, true); // [out, in]
  if (dy.shape[1] < x.shape[1]) return tf.transpose(tf.matMul(tf.transpose(x), copyOf(dy))); // [out, in]
  return tf.matMul(tf.transpose(dy), copyOf(x)); // [out, in]
}

function copyOf<X extends Tensor>(x: X): X {
  return tf.add(x, 0); // tf.clone shares the memory, and with it what was packed
}
