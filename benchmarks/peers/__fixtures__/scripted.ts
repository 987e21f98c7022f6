import process from 'node:process';
import { fileURLToPath } from 'node:url';
import type { Contender } from '../comparison.ts';

/** A contender whose runs take the given times. @param log - A file in which it notes what it is asked. */
export function scripted(name: string, times: readonly (number | 'fail' | 'exit')[], log = ''): Contender {
  const script = fileURLToPath(new URL('scripted-side.ts', import.meta.url));
  return {
    command: { name, program: process.execPath, args: [script, name, log, ...times.map(String)] },
    task: { kind: 'match', checkpoint: 'nowhere', inputs: 'nothing', dtype: 'fp32', threads: 2, cacheFolder: 'nowhere' },
  };
}
