import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import { expect } from 'vitest';
import { compare, type Comparable } from './compare.ts';

declare module 'vitest' {
  // The type parameters must be the ones vitest declares.
  interface Matchers<R extends void | Promise<void> = void | Promise<void>, T = unknown> {
    /** Every element within tolerance · (1 + |expected|), and the same shape where both have one. */
    toBeAllclose: (expected: Comparable, tolerance: number) => R;
  }
}

expect.extend({
  toBeAllclose(actual: Comparable, expected: Comparable, tolerance: number) {
    const { pass, message } = compare(actual, expected, tolerance);
    return { pass, message: () => message };
  },
});

// Keeps the plain JavaScript backend from advertising the native one.
tf.env().set('IS_TEST', true);
await tf.setBackend('wasm');
await tf.ready();
