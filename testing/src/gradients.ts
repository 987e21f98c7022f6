// tfjs-core alone knows no gradients; the union package registers them all.
import '@tensorflow/tfjs';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import { expect } from 'vitest';

/** How {@link expectGradient} measures. */
export interface GradientCheck {
  /** Distance of the two points of a central difference. @default 0.02 */
  readonly step?: number;
  /** As |a − b| ≤ tolerance · (1 + |b|); float32 differences are good to about 1e-3. @default 2e-3 */
  readonly tolerance?: number;
  /** How many coordinates are tried, spread evenly. @default 6 */
  readonly coordinates?: number;
}

/**
 * Compares the gradient of `loss` at `x` with central differences on a few coordinates.
 *
 * @param loss - From a tensor of `x`'s shape to a scalar; runs in `tf.tidy`.
 */
export function expectGradient(loss: (x: Tensor) => Scalar, x: Tensor, options: GradientCheck = {}): void {
  const { step = 0.02, tolerance = 2e-3, coordinates = 6 } = options;
  const gradient = tf.tidy(() => tf.grad(loss)(x)).dataSync();
  const values = x.dataSync();
  const lossAt = (index: number, offset: number): number => {
    const moved = Float32Array.from(values);
    moved[index]! += offset;
    return tf.tidy(() => loss(tf.tensor(moved, x.shape))).dataSync()[0]!;
  };
  const count = Math.min(coordinates, values.length);
  const tried = Array.from({ length: count }, (_, i) => Math.floor((i * values.length) / count));
  const slopes = tried.map((index) => (lossAt(index, step / 2) - lossAt(index, -step / 2)) / step);
  expect(tried.map((index) => gradient[index]!)).toBeAllclose(slopes, tolerance);
  // A loss that does not depend on x would pass with zeros.
  expect(slopes.some((slope) => Math.abs(slope) > tolerance)).toBe(true);
}
