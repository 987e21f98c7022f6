/**
 * Our work and our peers', in turn, in one run: `pnpm bench:peers [--only NAME] [--json FILE]`. See README.md.
 */
import { writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { InputError } from '@blip2/core';
import type { ComparisonResult } from './peers/comparison.ts';
import { COMPARISON_NAMES, planComparisons } from './peers/comparisons.ts';
import { BenchmarkData } from './peers/data.ts';
import { describeMachine } from './peers/machine.ts';
import { measure, type Sides } from './peers/measure.ts';
import { findPython } from './peers/python.ts';
import { type Report, toJson, toMarkdown } from './peers/report.ts';

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    json: { type: 'string' },
    markdown: { type: 'string' },
    data: { type: 'string', default: join(tmpdir(), 'blip2-benchmarks') },
    python: { type: 'string' },
    engine: { type: 'string', default: 'compiled' },
    sides: { type: 'string', default: 'both' },
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string' },
    small: { type: 'boolean', default: false },
  },
});

const planned = planComparisons(
  {
    data: new BenchmarkData(options.data, { small: options.small }),
    python:
      oneOf('sides', options.sides, ['both', 'ours', 'peer']) === 'ours'
        ? ''
        : await findPython({ interpreter: options.python, folder: options.data, onProgress: tell }),
    engine: oneOf('engine', options.engine, ['compiled', 'eager'] as const),
    threads: wholeNumber('threads', options.threads),
    small: options.small,
    rounds: options.rounds === undefined ? undefined : wholeNumber('rounds', options.rounds),
    onProgress: tell,
  },
  options.only,
);
if (planned.length === 0) {
  throw new InputError(
    `--only ${options.only.join(' ')}: no comparison begins like that. There are ${COMPARISON_NAMES.join(', ')}.`,
  );
}

const results: ComparisonResult[] = [];
for (const { name, plan } of planned) {
  tell(name);
  try {
    const progress = (message: string): void => tell(`  ${message}`);
    results.push(await measure(await plan(), { sides: options.sides as Sides, onProgress: progress }));
  } catch (cause) {
    console.error(`${name} failed: ${cause instanceof Error ? cause.message : String(cause)}`);
    process.exitCode = 1; // the others still count
  }
}
const report: Report = { machine: describeMachine(), date: new Date(), results };
if (options.json !== undefined) await writeFile(options.json, toJson(report));
if (options.markdown !== undefined) await writeFile(options.markdown, toMarkdown(report));
console.log(toMarkdown(report));

/** What is going on; the table alone goes to standard output. */
function tell(message: string): void {
  console.error(message);
}

function oneOf<const Value extends string>(name: string, value: string, allowed: readonly Value[]): Value {
  const found = allowed.find((one) => one === value);
  if (found === undefined) throw new InputError(`--${name} ${value}: expected ${allowed.join(', ')}. Choose one of them.`);
  return found;
}

function wholeNumber(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1)
    throw new InputError(`--${name} ${value}: expected a whole number above 0. Correct it.`);
  return number;
}
