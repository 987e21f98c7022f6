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
import { type ProcessorUse, watchProcessors } from './processor-watch.ts';
import type { SideDescription } from './protocol.ts';
import { type Side, startSide } from './side.ts';
import { agreementOf, median } from './statistics.ts';

/** Which sides run. One alone gives its number and no ratio. */
export type Sides = 'both' | 'ours' | 'peer';

/** A side at work: its process, and what it measured. */
interface Runner {
  readonly side: Side;
  readonly description: SideDescription;
  readonly samples: number[];
  values?: Readonly<Record<string, number>>;
  idleLoad?: number;
  foreignLoad?: number;
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
    await runRounds([...runners.values()], comparison.rounds, onProgress);
    const outputs = await compareOutputs(comparison, runners, reference, folder);
    const results = new Map<Which, SideResult>();
    for (const [which, runner] of runners) {
      const { peakBytes } = await runner.side.ask({ command: 'memory' });
      results.set(which, { ...resultOf(runner), peakBytes });
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
    return { side, description: await side.load(task), samples: [] };
  } catch (cause) {
    await side.quit();
    throw cause;
  }
}

/** A, B, A, B, …: what the machine does besides meets both alike. */
async function runRounds(runners: readonly Runner[], rounds: Rounds, onProgress: (message: string) => void): Promise<void> {
  const { warmUps = 1, least, most, seconds, pauseMs } = rounds;
  for (const runner of runners) {
    for (let index = 0; index < warmUps; index++) {
      onProgress(`${runner.side.name}: warming up`);
      const { values } = await runner.side.ask({ command: 'run' });
      runner.values ??= values;
    }
  }
  const begin = performance.now();
  for (let round = 0; round < most; round++) {
    if (round >= least && performance.now() - begin > seconds * 1000) break;
    for (const runner of runners) {
      await wait(pauseMs);
      const others = runners.filter((other) => other !== runner);
      const watched = watchProcessors(
        runner.side,
        others.map(({ side }) => side),
      );
      const { ms, values } = await runner.side.ask({ command: 'run' });
      noteUse(runner, others, watched());
      runner.values ??= values;
      runner.samples.push(ms);
      onProgress(`${runner.side.name}: ${ms.toFixed(ms < 10 ? 2 : 0)} ms`);
    }
  }
}

/** The largest loads count: one disturbed run is enough to doubt a median of few. */
function noteUse(runner: Runner, others: readonly Runner[], { idleSides, foreign }: ProcessorUse): void {
  if (foreign !== undefined) runner.foreignLoad = Math.max(runner.foreignLoad ?? 0, foreign);
  for (const [index, other] of others.entries()) {
    const cores = idleSides[index];
    if (cores !== undefined) other.idleLoad = Math.max(other.idleLoad ?? 0, cores);
  }
}

function resultOf({ side, samples, description, values, idleLoad, foreignLoad }: Runner): SideResult {
  return {
    name: side.name,
    median: median(samples),
    samples,
    description,
    ...(values && { values }),
    ...(idleLoad !== undefined && { idleLoad }),
    ...(foreignLoad !== undefined && { foreignLoad }),
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
  const { most, least, seconds, pauseMs, warmUps = 1 } = comparison.rounds;
  const results = new Map<Which, SideResult>();
  const start = async (which: Which): Promise<SideResult> => {
    await wait(pauseMs);
    const { command, task } = comparison[which];
    const begin = performance.now();
    await using side = startSide(command);
    const description = await side.load(task);
    const { values } = await side.ask({ command: 'run' });
    const ms = performance.now() - begin;
    const { peakBytes } = await side.ask({ command: 'memory' });
    onProgress(`${side.name}: ${ms.toFixed(0)} ms`);
    return { name: side.name, median: ms, samples: [ms], description, peakBytes, ...(values && { values }) };
  };
  for (const which of wanted) for (let index = 0; index < warmUps; index++) await start(which);
  const begin = performance.now();
  for (let round = 0; round < most; round++) {
    if (round >= least && performance.now() - begin > seconds * 1000) break;
    for (const which of wanted) {
      const next = await start(which);
      const samples = [...(results.get(which)?.samples ?? []), ...next.samples];
      results.set(which, { ...next, samples, median: median(samples) });
    }
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
