import { describe, it } from 'vitest';
import { KERNEL_CASES } from './cases/index.ts';
import { titleOf } from './cases/kernel-case.ts';
import { compareWithEager } from './compare-with-eager.ts';

describe.each(Object.entries(KERNEL_CASES))('%s: compiled and eager values are equal', (_group, kernels) => {
  describe.each(Object.entries(kernels))('%s', (_kernel, variants) => {
    for (const variant of variants) it(titleOf(variant), () => compareWithEager(variant));
  });
});
