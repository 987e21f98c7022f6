/**
 * The scorers of `@blip2/eval` at the sizes of the real test sets, and the Python tools beside them: `pnpm bench:metrics [--only NAME] [--json FILE]`. See README.md.
 */
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { InputError } from '@blip2/core';
import { planMetrics } from './metrics/comparisons.ts';
import { metricsFolder } from './metrics/inputs.ts';
import type { ComparisonResult } from './peers/comparison.ts';
import { describeMachine } from './peers/machine.ts';
import { measure } from './peers/measure.ts';
import { toJson, toMarkdown } from './peers/report.ts';

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    json: { type: 'string' },
    markdown: { type: 'string' },
    data: { type: 'string', default: join(tmpdir(), 'blip2-benchmarks') },
    python: { type: 'string', default: process.env['BLIP2_PEER_PYTHON'] ?? 'python3' },
    rounds: { type: 'string' },
    images: { type: 'string', default: '5000' },
    questions: { type: 'string', default: '214354' },
  },
});

const sizes = { images: wholeNumber('images', options.images), questions: wholeNumber('questions', options.questions) };
const rounds = options.rounds === undefined ? undefined : wholeNumber('rounds', options.rounds);
const folder = await metricsFolder(options.data, sizes, tell);
const all = planMetrics({ folder, python: options.python, rounds });
const planned = all.filter(({ comparison: { name } }) => options.only.length === 0 || options.only.includes(name));
if (planned.length === 0) {
  const names = all.map(({ comparison }) => comparison.name).join(', ');
  throw new InputError(`--only ${options.only.join(' ')}: there is no such measurement. There are ${names}.`);
}
const results: ComparisonResult[] = [];
for (const { comparison, sides } of planned) {
  tell(comparison.name);
  try {
    results.push(await measure(comparison, { sides, onProgress: (message) => tell(`  ${message}`) }));
  } catch (cause) {
    console.error(`${comparison.name} failed: ${cause instanceof Error ? cause.message : String(cause)}`);
    process.exitCode = 1; // the others still count
  }
}
const report = { machine: describeMachine(), date: new Date(), results };
if (options.json !== undefined) await writeFile(options.json, toJson(report));
if (options.markdown !== undefined) await writeFile(options.markdown, toMarkdown(report));
console.log(toMarkdown(report));

/** What is going on; the table alone goes to standard output. */
function tell(message: string): void {
  console.error(message);
}

function wholeNumber(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1)
    throw new InputError(`--${name} ${value}: expected a whole number above 0. Correct it.`);
  return number;
}
