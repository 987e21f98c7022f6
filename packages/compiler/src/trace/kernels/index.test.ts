import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { COMPILED_KERNELS, KERNEL_GROUPS } from './index.ts';

it('every group of kernels has a test file, which has cases for each of them', () => {
  const tested = Object.keys(KERNEL_GROUPS).filter((group) => existsSync(new URL(`${group}.test.ts`, import.meta.url)));
  expect(tested).toEqual(Object.keys(KERNEL_GROUPS));
});

it('a kernel belongs to one group', () => {
  expect(COMPILED_KERNELS.filter((name, index) => COMPILED_KERNELS.indexOf(name) !== index)).toEqual([]);
});
