// For tests only: a program that plays Java and a scorer's jar from a recording. No jar can be part of the repository.
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** What the program does: answers lines from the recording, writes a result file, or something else that a program does. */
export interface Recording {
  /** Request line → answer line. */
  readonly answers?: Readonly<Record<string, string>>;
  /** Written to the file after `-out`. */
  readonly result?: unknown;
  /** Written to the error output before it ends with `status`. */
  readonly stderr?: string;
  readonly status?: number;
}

export interface StandIn {
  readonly folder: string;
  readonly java: string;
  /** How it was called: its parameters, and the folder it ran in; SPICE's input file. */
  call(): { parameters: string[]; folder: string; input?: unknown };
}

const PROGRAM = `#!/usr/bin/env node
const fs = require('node:fs');
const { answers, result, stderr, status } = JSON.parse(fs.readFileSync(__dirname + '/recording.json', 'utf8'));
const parameters = process.argv.slice(2);
const input = parameters.includes('-out') ? JSON.parse(fs.readFileSync(parameters[3], 'utf8')) : undefined;
fs.writeFileSync(__dirname + '/call.json', JSON.stringify({ parameters, folder: process.cwd(), input }));
if (stderr !== undefined) { process.stderr.write(stderr); process.exit(status); }
else if (result !== undefined) fs.writeFileSync(parameters[parameters.indexOf('-out') + 1], JSON.stringify(result));
else require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  if (answers[line] !== undefined) console.log(answers[line]);
});
`;

/** A folder with the program and empty files beside it. */
export function standIn(recording: Recording, files: readonly string[]): StandIn {
  const folder = mkdtempSync(join(tmpdir(), 'eval-stand-in-'));
  for (const file of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), '');
  }
  const java = join(folder, 'java.cjs');
  writeFileSync(java, PROGRAM);
  chmodSync(java, 0o755);
  writeFileSync(join(folder, 'recording.json'), JSON.stringify(recording));
  return { folder, java, call: () => JSON.parse(readFileSync(join(folder, 'call.json'), 'utf8')) as ReturnType<StandIn['call']> };
}
