import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import {
  type Comparison,
  type ComparisonResult,
  conclude,
  type Contender,
  type OutputComparison,
  type Rounds,
  type SideResult,
} from './comparison.ts';
import { watchProcessors } from './processor-watch.ts';
import type { SideDescription } from './protocol.ts';
import { areEnough, countedRounds, type Round } from './rounds.ts';
import { type Side, startSide } from './side.ts';
import { agreementOf, median } from './statistics.ts';

/** Which sides run. One alone gives its number and no ratio. */
export type Sides = 'both' | 'ours' | 'peer';

/** A side at work. */
interface Runner {
  readonly side: Side;
  readonly description: SideDescription;
  values?: Readonly<Record<string, number>>;
  lastValues?: Readonly<Record<string, number>>;
  idleLoad?: number;
}

/**
 * Runs a comparison: both sides in turn, never at once.
 *
 * @param onProgress - Told what happens, in words.
 * @throws {ResourceError} when a side fails; no process stays behind.
 */
export async function measure(
  comparison: Comparison,
  {
    sides = 'both',
    onProgress = () => undefined,
  }: { readonly sides?: Sides; readonly onProgress?: (message: string) => void } = {},
): Promise<ComparisonResult> {
  const wanted = (['ours', 'peer'] as const).filter((side) => sides === 'both' || sides === side);
  switch (comparison.measures) {
    case 'run':
      return measureRuns(comparison, wanted, onProgress);
    case 'start':
      return measureStarts(comparison, wanted, onProgress);
    case 'memory':
      return measureMemory(comparison, wanted, onProgress);
  }
}

type Which = 'ours' | 'peer';

async function measureRuns(
  comparison: Comparison,
  wanted: readonly Which[],
  onProgress: (message: string) => void,
): Promise<ComparisonResult> {
  const folder = await mkdtemp(join(tmpdir(), 'blip2-outputs-'));
  const runners = new Map<Which, Runner>();
  try {
    const reference = await referenceOutput(comparison, wanted, folder, onProgress);
    for (const which of wanted) runners.set(which, await load(comparison[which], onProgress));
    const rounds = await runRounds([...runners.values()], comparison.rounds, onProgress);
    const outputs = await compareOutputs(comparison, runners, reference, folder);
    const results = new Map<Which, SideResult>();
    for (const [index, [which, { side, description, values, lastValues, idleLoad }]] of [...runners].entries()) {
      const { peakBytes } = await side.ask({ command: 'memory' });
      const facts = {
        name: side.name,
        description,
        peakBytes,
        ...(values && { values }),
        ...(lastValues && { lastValues }),
        ...(idleLoad !== undefined && { idleLoad }),
      };
      results.set(which, { ...facts, ...samplesOf(rounds, index, comparison.rounds) });
    }
    return conclude(comparison, { ours: results.get('ours'), peer: results.get('peer'), outputs });
  } finally {
    await Promise.all(Array.from(runners.values(), ({ side }) => side.quit()));
    await rm(folder, { recursive: true, force: true });
  }
}

async function load({ command, task }: Contender, onProgress: (message: string) => void): Promise<Runner> {
  const side = startSide(command);
  try {
    onProgress(`${command.name}: loading`);
    return { side, description: await side.load(task) };
  } catch (cause) {
    await side.quit();
    throw cause;
  }
}

/** A, B, A, B, …: what the machine does besides meets both alike. */
async function runRounds(
  runners: readonly Runner[],
  plan: Rounds,
  onProgress: (message: string) => void,
): Promise<readonly Round[]> {
  for (const runner of runners) {
    for (let index = 0; index < (plan.warmUps ?? 1); index++) {
      onProgress(`${runner.side.name}: warming up`);
      const { values } = await runner.side.ask({ command: 'run' });
      runner.values ??= values;
    }
  }
  return repeat(plan, runners, async (runner) => {
    const others = runners.filter((other) => other !== runner);
    const watched = watchProcessors(
      runner.side,
      others.map(({ side }) => side),
    );
    const { ms, values } = await runner.side.ask({ command: 'run' });
    const { idleSides, foreign } = watched();
    runner.values ??= values;
    runner.lastValues = values;
    for (const [index, other] of others.entries()) {
      const cores = idleSides[index];
      if (cores !== undefined) other.idleLoad = Math.max(other.idleLoad ?? 0, cores);
    }
    onProgress(`${runner.side.name}: ${ms.toFixed(ms < 10 ? 2 : 0)} ms`);
    return { ms, foreign };
  });
}

/** Rounds over the same contestants, until there are enough. */
async function repeat<One>(
  plan: Rounds,
  contestants: readonly One[],
  run: (one: One) => Promise<{ readonly ms: number; readonly foreign?: number }>,
): Promise<readonly Round[]> {
  const rounds: Round[] = [];
  const begin = performance.now();
  while (!areEnough(rounds, plan, (performance.now() - begin) / 1000)) {
    const times: number[] = [];
    let foreignLoad: number | undefined;
    for (const one of contestants) {
      await wait(plan.pauseMs);
      const { ms, foreign } = await run(one);
      times.push(ms);
      if (foreign !== undefined) foreignLoad = Math.max(foreignLoad ?? 0, foreign);
    }
    rounds.push({ times, foreignLoad });
  }
  return rounds;
}

/** A side's part of the rounds that count. */
function samplesOf(
  rounds: readonly Round[],
  index: number,
  plan: Rounds,
): Pick<SideResult, 'median' | 'samples' | 'leftOut' | 'foreignLoad'> {
  const counted = countedRounds(rounds, plan);
  const samples = counted.map(({ times }) => times[index]!);
  const leftOut = rounds.filter((round) => !counted.includes(round)).map(({ times }) => times[index]!);
  const loads = counted.flatMap(({ foreignLoad }) => foreignLoad ?? []);
  return {
    median: median(samples),
    samples,
    ...(leftOut.length > 0 && { leftOut }),
    ...(loads.length > 0 && { foreignLoad: Math.max(...loads) }),
  };
}

// ---------------------------------------------------------------------------------------------------- outputs

/** A result as numbers, and the length of its last axis. */
interface Output {
  readonly values: Float32Array;
  readonly rowLength: number;
}

async function referenceOutput(
  { reference }: Comparison,
  wanted: readonly Which[],
  folder: string,
  onProgress: (message: string) => void,
): Promise<Output | undefined> {
  if (reference === undefined || !wanted.includes('ours')) return undefined;
  const { side } = await load(reference, onProgress);
  try {
    onProgress(`${side.name}: the reference result`);
    await side.ask({ command: 'run' });
    return await outputOf(side, folder);
  } finally {
    await side.quit();
  }
}

async function compareOutputs(
  { comparesOutputs = false }: Comparison,
  runners: ReadonlyMap<Which, Runner>,
  reference: Output | undefined,
  folder: string,
): Promise<OutputComparison | undefined> {
  if (reference === undefined && (!comparesOutputs || runners.size < 2)) return undefined;
  const of = async (which: Which): Promise<Output | undefined> => {
    const runner = runners.get(which);
    return runner && outputOf(runner.side, folder);
  };
  const [ours, peer] = [await of('ours'), await of('peer')];
  if (reference === undefined) return { oursAgainstPeer: agreementOf(ours!.values, peer!.values, ours!.rowLength) };
  return {
    ...(ours && { oursAgainstReference: agreementOf(ours.values, reference.values, reference.rowLength) }),
    ...(peer && { peerAgainstReference: agreementOf(peer.values, reference.values, reference.rowLength) }),
  };
}

async function outputOf(side: Side, folder: string): Promise<Output> {
  const path = join(folder, 'output');
  const { shape } = await side.ask({ command: 'output', path });
  const bytes = await readFile(path);
  return { values: new Float32Array(new Uint8Array(bytes).buffer), rowLength: shape.at(-1)! };
}

// ---------------------------------------------------------------------------------------------------- starts, memory

/** From nothing to the first result, in a new process each time; the first of each side fills the caches and is not counted. */
async function measureStarts(
  comparison: Comparison,
  wanted: readonly Which[],
  onProgress: (message: string) => void,
): Promise<ComparisonResult> {
  const { warmUps = 1 } = comparison.rounds;
  const facts = new Map<Which, Pick<SideResult, 'name' | 'description' | 'values' | 'peakBytes'>>();
  const start = async (which: Which): Promise<{ ms: number; foreign?: number }> => {
    const { command, task } = comparison[which];
    const begin = performance.now();
    await using side = startSide(command);
    const watched = watchProcessors(side, []);
    const description = await side.load(task);
    const { values } = await side.ask({ command: 'run' });
    const ms = performance.now() - begin;
    const { foreign } = watched();
    const { peakBytes } = await side.ask({ command: 'memory' });
    facts.set(which, { name: side.name, description, peakBytes, ...(values && { values }) });
    onProgress(`${side.name}: ${ms.toFixed(0)} ms`);
    return { ms, foreign };
  };
  for (const which of wanted) for (let index = 0; index < warmUps; index++) await start(which);
  const rounds = await repeat(comparison.rounds, wanted, start);
  const results = new Map<Which, SideResult>();
  for (const [index, which] of wanted.entries()) {
    results.set(which, { ...facts.get(which)!, ...samplesOf(rounds, index, comparison.rounds) });
  }
  return conclude(comparison, { ours: results.get('ours'), peer: results.get('peer') });
}

/** The most that a process held after loading and one run. */
async function measureMemory(
  comparison: Comparison,
  wanted: readonly Which[],
  onProgress: (message: string) => void,
): Promise<ComparisonResult> {
  const results = new Map<Which, SideResult>();
  for (const which of wanted) {
    const { side, description } = await load(comparison[which], onProgress);
    try {
      const { values } = await side.ask({ command: 'run' });
      const { peakBytes } = await side.ask({ command: 'memory' });
      onProgress(`${side.name}: ${(peakBytes / 1e9).toFixed(2)} GB`);
      results.set(which, { name: side.name, median: peakBytes, samples: [peakBytes], description, ...(values && { values }) });
    } finally {
      await side.quit();
    }
  }
  return conclude(comparison, { ours: results.get('ours'), peer: results.get('peer') });
}
