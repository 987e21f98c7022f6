/**
 * A side that computes nothing: `node scripted-side.ts NAME LOG MS…`. It says that its runs took the given times, one after
 * the other, and writes what it was asked into a log that sides may share. A time of `fail` is a run that fails, `exit` one
 * that ends the process.
 */
import { appendFileSync, writeFileSync, writeSync } from 'node:fs';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { SideRequest } from '../protocol.ts';

const [name = 'side', log = '', ...times] = process.argv.slice(2);
let runs = 0;

for await (const line of createInterface(process.stdin)) {
  const request = JSON.parse(line) as SideRequest;
  if (log !== '') appendFileSync(log, `${name} ${request.command}\n`);
  if (request.command === 'quit') break;
  writeSync(1, `${JSON.stringify(answer(request))}\n`);
}

function answer(request: Exclude<SideRequest, { readonly command: 'quit' }>): object {
  switch (request.command) {
    case 'load':
      return {
        ok: true,
        runtime: 'Scripted 1.0',
        libraries: { scripts: '2.0' },
        threads: 'threads' in request.task ? request.task.threads : 1,
      };
    case 'run':
      return run();
    case 'output':
      writeFileSync(request.path, new Uint8Array(Float32Array.of(1, 0, 0, name === 'tilted' ? 0.5 : 0).buffer));
      return { ok: true, shape: [2, 2] };
    case 'memory':
      return { ok: true, peakBytes: 1e9 };
  }
}

function run(): object {
  const time = times[Math.min(runs++, times.length - 1)];
  if (time === 'exit') {
    console.error('something broke');
    process.exit(3);
  }
  return time === 'fail' ? { ok: false, error: 'out of patience' } : { ok: true, ms: Number(time), values: { runs } };
}
