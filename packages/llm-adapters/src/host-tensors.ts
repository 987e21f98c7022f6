import { type HostTensor, MASKED } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';

/**
 * Inputs of the models that are computed in JavaScript numbers, from ids and masks. Both ways to run a model take them from
 * here: eager code as tensors, an engine as they are.
 */

/** Whole numbers as int32 `[rows, columns]`. */
export function hostRows(rows: readonly (readonly number[])[]): HostTensor {
  return { shape: [rows.length, rows[0]!.length], data: Int32Array.from(rows.flat()) };
}

/** The same numbers on the current backend; a new tensor. */
export function tensorOf<T extends Tensor>({ data, shape }: HostTensor): T {
  return tf.tensor(data, shape.slice(), data instanceof Int32Array ? 'int32' : 'float32') as T;
}

/**
 * What attention scores get added so that no position sees padding, or what comes after it.
 *
 * @param mask - Of all positions so far, 1 = real, 0 = padding, `[batch][keys]`.
 * @param tokens - How many positions, the last ones, ask.
 * @returns `[batch, 1, tokens, keys]`, 0 or `MASKED`
 */
export function causalMask(mask: readonly (readonly number[])[], tokens: number): HostTensor {
  const keys = mask[0]!.length;
  const data = new Float32Array(mask.length * tokens * keys);
  mask.forEach((row, index) => {
    for (let token = 0; token < tokens; token++) {
      const begin = (index * tokens + token) * keys;
      const seen = keys - tokens + token;
      for (let key = 0; key < keys; key++) if (key > seen || row[key] === 0) data[begin + key] = MASKED;
    }
  });
  return { shape: [mask.length, 1, tokens, keys], data };
}

/**
 * What attention scores get added so that no position sees padding.
 *
 * @param mask - 1 = real, 0 = padding, `[batch][keys]`.
 * @returns `[batch, 1, 1, keys]`, 0 or `MASKED`
 */
export function paddingMask(mask: readonly (readonly number[])[]): HostTensor {
  const data = Float32Array.from(mask.flat(), (real) => (real === 0 ? MASKED : 0));
  return { shape: [mask.length, 1, 1, mask[0]!.length], data };
}

/** Whether a mask hides anything. */
export function hasPadding(mask: readonly (readonly number[])[]): boolean {
  return mask.some((row) => row.includes(0));
}
