import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { ShapeError } from '../errors.ts';
import { tidy } from '../tensor-scope.ts';
import { linearRows } from './fused-linear.ts';

/** Weights of one linear layer, in checkpoint layout. */
export interface LinearParams {
  readonly weight: Tensor2D; // [out, in]
  readonly bias?: Tensor1D; //  [out]
}

/**
 * y = x·Wᵀ + b
 *
 * @param x - `[..., in]`, rank 2 or more.
 * @returns `[..., out]`
 * @throws {ShapeError} when `x` is not as wide as the weight takes.
 */
export function linear<X extends Tensor>({ weight, bias }: LinearParams, x: X): X {
  const [outputs, inputs] = weight.shape;
  if (x.shape.at(-1) !== inputs) {
    const message = `linear: x is [${x.shape.join(', ')}], expected [..., ${inputs}], because the weight is [${outputs}, ${inputs}].`;
    throw new ShapeError(message, x.shape, ['...', inputs]);
  }
  return tidy(() => {
    const rows = tf.reshape(x, [-1, inputs]) as Tensor2D; // [rows, in]
    const y = linearRows({ x: rows, weight, bias }); // [rows, out]
    return tf.reshape(y, [...x.shape.slice(0, -1), outputs]) as unknown as X; // [..., out]
  });
}
