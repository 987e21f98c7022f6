import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { KERNEL_CASES } from './cases/index.ts';
import { titleOf } from './cases/kernel-case.ts';
import { compareWithEager } from './compare-with-eager.ts';
import { COMPILED_KERNELS } from './index.ts';
import { withGradients } from './kernel-test-support.ts';

/** Cases by kernel, those with a gradient. */
const DIFFERENTIABLE = Object.values(KERNEL_CASES)
  .flatMap((kernels) => Object.entries(kernels))
  .map(([kernel, variants]) => [kernel, variants.filter(({ differentiable }) => differentiable !== undefined)] as const)
  .filter(([, variants]) => variants.length > 0);

it('every gradient that tfjs has of a compiled kernel is compared', () => {
  const compared = new Set(DIFFERENTIABLE.map(([kernel]) => kernel));
  const missing = COMPILED_KERNELS.filter((kernel) => tf.getGradient(kernel) !== undefined && !compared.has(kernel));
  expect(missing).toEqual([]);
});

describe.each(DIFFERENTIABLE)('%s: compiled and eager gradients are equal', (_kernel, variants) => {
  for (const variant of variants) {
    const { compute, differentiable: names, smallest, smallestForGradients = smallest, tolerance = 1e-5 } = variant;
    const gradients = { compute: withGradients(compute, names!), smallest: smallestForGradients, tolerance: 10 * tolerance };
    it(titleOf(variant), () => compareWithEager({ ...variant, ...gradients }));
  }
});
