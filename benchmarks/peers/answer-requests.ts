import { readFileSync, writeSync } from 'node:fs';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { MemoryAnswer, OutputAnswer, RunAnswer, SideDescription, SideRequest, Task, MetricsTask } from './protocol.ts';

/** What a side of ours does when it is asked. */
export interface SideWork {
  load(task: Task | MetricsTask): Promise<SideDescription> | SideDescription;
  run(): Promise<RunAnswer>;
  output(path: string): Promise<OutputAnswer>;
}

/** Answers the requests of `protocol.ts` on standard input, a line each on standard output, until it is told to quit. */
export async function answerRequests(work: SideWork): Promise<void> {
  for await (const line of createInterface(process.stdin)) {
    const request = JSON.parse(line) as SideRequest;
    if (request.command === 'quit') break;
    try {
      say({ ok: true, ...(await answer(work, request)) });
    } catch (cause) {
      say({ ok: false, error: cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause) });
    }
  }
}

async function answer(
  work: SideWork,
  request: Exclude<SideRequest, { readonly command: 'quit' }>,
): Promise<SideDescription | RunAnswer | OutputAnswer | MemoryAnswer> {
  switch (request.command) {
    case 'load':
      return work.load(request.task);
    case 'run':
      return work.run();
    case 'output':
      return work.output(request.path);
    case 'memory':
      return { peakBytes: peakBytes() };
  }
}

/** `VmHWM` where the system has it. */
function peakBytes(): number {
  try {
    const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    if (line !== null) return Number(line[1]) * 1024;
  } catch {
    // another system than Linux
  }
  return process.resourceUsage().maxRSS * 1024;
}

function say(message: object): void {
  writeSync(1, `${JSON.stringify(message)}\n`);
}
