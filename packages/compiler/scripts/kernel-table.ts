/**
 * Writes the table of tfjs kernels that can be compiled into README.md, between its markers: which there are, and what
 * ONNX operators they become. `node scripts/kernel-table.ts`, whenever a kernel comes or changes.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { KERNEL_CASES } from '../src/trace/kernels/cases/index.ts';
import { operatorsOfKernels } from '../src/trace/kernels/kernel-operators.ts';

/** Where the table stands in the README. */
export const MARKERS: readonly [string, string] = ['<!-- kernels -->', '<!-- /kernels -->'];

/** The table as Markdown: a row for each group. */
export function kernelTable(): string {
  const operators = operatorsOfKernels();
  const rows = Object.entries(KERNEL_CASES).map(([group, kernels]) => {
    const entries = Object.keys(kernels).map((kernel) => {
      const becomes = operators.get(kernel)!.join(', ');
      return becomes === kernel ? `\`${kernel}\`` : `\`${kernel}\` → ${becomes === '' ? 'nothing' : becomes}`;
    });
    return `| ${group} | ${entries.join('; ')} |`;
  });
  const count = Object.values(KERNEL_CASES).flatMap((kernels) => Object.keys(kernels)).length;
  const intro = `${count} kernels of TensorFlow.js and of \`@blip2/core\` can be compiled. Behind an arrow: the ONNX operators that one becomes, if they are not its namesake; whole numbers and truth values may need casts besides.`;
  return [intro, '', '| | kernels |', '| --- | --- |', ...rows].join('\n');
}

/** The README with another table. @throws {Error} when it has no markers. */
export function withTable(readme: string, table: string): string {
  const [start, end] = MARKERS.map((marker) => readme.indexOf(marker)) as [number, number];
  if (start < 0 || end < start) throw new Error(`README.md has no ${MARKERS.join(' and ')}. Put them where the table belongs.`);
  return `${readme.slice(0, start + MARKERS[0].length)}\n\n${table}\n\n${readme.slice(end)}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = fileURLToPath(new URL('../README.md', import.meta.url));
  writeFileSync(path, withTable(readFileSync(path, 'utf8'), kernelTable()));
}
