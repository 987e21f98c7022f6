import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { kernelTable, withTable } from '../../../scripts/kernel-table.ts';
import { KERNEL_CASES } from './cases/index.ts';
import { COMPILED_KERNELS, KERNEL_GROUPS } from './index.ts';
import { operatorsOfKernels } from './kernel-operators.ts';

it('every kernel has cases, in its group', () => {
  const kernelsOf = (groups: Readonly<Record<string, object>>): string[] =>
    Object.entries(groups).flatMap(([group, members]) => Object.keys(members).map((kernel) => `${group}: ${kernel}`));
  expect(kernelsOf(KERNEL_CASES).toSorted()).toEqual(kernelsOf(KERNEL_GROUPS).toSorted());
});

it('a kernel belongs to one group', () => {
  expect(COMPILED_KERNELS).toEqual([...new Set(COMPILED_KERNELS)]);
});

it('every kernel is called by its cases', () => {
  expect([...operatorsOfKernels().keys()].toSorted()).toEqual(COMPILED_KERNELS);
});

it('README.md has the table of kernels; if not, run node scripts/kernel-table.ts', () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  expect(readme).toBe(withTable(readme, kernelTable()));
});
