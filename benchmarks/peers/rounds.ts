import type { Rounds } from './comparison.ts';

/** A run of each side, one after the other. */
export interface Round {
  /** A time for each side, in their order. */
  readonly times: readonly number[];
  /** The most cores that programs outside the benchmark used meanwhile; `undefined` where nobody can tell. */
  readonly foreignLoad?: number;
}

/** Cores that others may use: the harness itself, and what a system does by the way. */
export const QUIET_LOAD = 0.1;

/** How much longer than planned to wait for a quiet machine. */
const PATIENCE = 3;

/** The rounds in which nothing else was going on. */
export function quietRounds(rounds: readonly Round[]): readonly Round[] {
  return rounds.filter(({ foreignLoad = 0 }) => foreignLoad <= QUIET_LOAD);
}

/**
 * Which rounds count: the quiet ones, if there are enough; otherwise all, and the result has to say so.
 *
 * Other programs do not slow both sides alike: a library whose threads wait for each other at every operation loses more
 * than one whose threads share out the work as they come.
 */
export function countedRounds(rounds: readonly Round[], { least }: Pick<Rounds, 'least'>): readonly Round[] {
  const quiet = quietRounds(rounds);
  return quiet.length >= least ? quiet : rounds;
}

/** Whether to stop. @param elapsedSeconds - Since the first round began. */
export function areEnough(rounds: readonly Round[], { least, most, seconds }: Rounds, elapsedSeconds: number): boolean {
  const quiet = quietRounds(rounds).length;
  if (quiet >= most) return true;
  if (quiet >= least) return elapsedSeconds > seconds;
  return rounds.length >= least && elapsedSeconds > PATIENCE * seconds;
}
