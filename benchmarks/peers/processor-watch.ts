import { existsSync, readFileSync } from 'node:fs';
import process from 'node:process';
import type { Side } from './side.ts';

/** Who used the processors while a side ran, in cores. */
export interface ProcessorUse {
  /** Of each side that should have been idle, in their order; `undefined` where the system does not tell. */
  readonly idleSides: readonly (number | undefined)[];
  /** Of everything that is no part of the benchmark: other programs, and other machines on the same processor. */
  readonly foreign?: number;
}

/** The unit of processor times in `/proc`, on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Shorter times say nothing in that unit. */
const LEAST_SECONDS = 0.5;

/**
 * Begins to watch. The result ends it.
 *
 * @param running - The side that is about to run.
 * @param idle - The others.
 */
export function watchProcessors(running: Side, idle: readonly Side[]): () => ProcessorUse {
  const read = () => ({
    time: performance.now() / 1000,
    busy: busySeconds(),
    own: (process.cpuUsage().user + process.cpuUsage().system) / 1e6,
    running: running.processorSeconds(),
    idle: idle.map((side) => side.processorSeconds()),
  });
  const before = read();
  return () => {
    const after = read();
    const seconds = after.time - before.time;
    if (seconds < LEAST_SECONDS) return { idleSides: idle.map(() => undefined) };
    const idleSeconds = after.idle.map((end, index) => difference(end, before.idle[index]));
    const busy = difference(after.busy, before.busy);
    const ran = difference(after.running, before.running);
    const idleSides = idleSeconds.map((spent) => (spent === undefined ? undefined : spent / seconds));
    if (busy === undefined || ran === undefined) return { idleSides };
    const ours = ran + after.own - before.own + idleSeconds.reduce<number>((sum, spent) => sum + (spent ?? 0), 0);
    return { idleSides, foreign: Math.max(0, busy - ours) / seconds };
  };
}

function difference(after: number | undefined, before: number | undefined): number | undefined {
  return after === undefined || before === undefined ? undefined : after - before;
}

/** Seconds that all processors together were not idle, since the system started. */
function busySeconds(): number | undefined {
  if (!existsSync('/proc/stat')) return undefined;
  const [user, nice, system, , , interrupts, softInterrupts, stolen] = readFileSync('/proc/stat', 'utf8')
    .split('\n', 1)[0]!
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user! + nice! + system! + interrupts! + softInterrupts! + stolen!) / TICKS_PER_SECOND;
}

/** Seconds of processor time of a process and its threads; `undefined` where the system does not tell. */
export function processorSecondsOf(pid: number | undefined): number | undefined {
  const path = `/proc/${pid}/stat`;
  if (pid === undefined || !existsSync(path)) return undefined;
  // The name in parentheses may hold spaces; fields 14 and 15 of the whole are user and system time.
  const fields = readFileSync(path, 'utf8').split(') ').at(-1)!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
