import type { MetricsTask, SideDescription, Task } from './protocol.ts';
import type { SideCommand } from './side.ts';
import type { Agreement } from './statistics.ts';

/** A side's part in a comparison. */
export interface Contender {
  readonly command: SideCommand;
  readonly task: Task | MetricsTask;
}

/** Two ways to do the same work. */
export interface Comparison {
  readonly name: string;
  /** What is measured: the time of a run in one process, of a start with its first result, or the peak memory of both. */
  readonly measures: 'run' | 'start' | 'memory';
  readonly unit: 'ms' | 'ms per token' | 'bytes';
  /** How many images with their texts a run trains with: tables then say how many that is a second too. */
  readonly samplesPerRun?: number;
  readonly ours: Contender;
  readonly peer: Contender;
  /** Our number may be at most this times the peer's. */
  readonly targetRatio?: number;
  /** Our number may be at most this, whatever the peer's is. */
  readonly targetValue?: number;
  /** Pairs of runs; see {@link Rounds}. */
  readonly rounds: Rounds;
  /** Whether both sides' last results are compared, row by row. @default false */
  readonly comparesOutputs?: boolean;
  /** What the results of both are compared with instead of each other; run once, before the others. */
  readonly reference?: Contender;
  /** The least cosine of our results with the reference's, of each row. */
  readonly targetCosine?: number;
}

/** How often both sides run, in turn. */
export interface Rounds {
  /** Runs of each side that are not counted. @default 1 */
  readonly warmUps?: number;
  /** Undisturbed pairs, at least. */
  readonly least: number;
  /** Undisturbed pairs, at most. */
  readonly most: number;
  /** No further pair begins after this, if there were enough undisturbed ones; and after three times this in any case. */
  readonly seconds: number;
  /** Between a side's run and the other's, so that threads that wait actively have given up. */
  readonly pauseMs: number;
}

/** One side's numbers. */
export interface SideResult {
  readonly name: string;
  readonly median: number;
  /** Of the rounds that count. */
  readonly samples: readonly number[];
  /** Of rounds in which other programs were busy too. */
  readonly leftOut?: readonly number[];
  readonly description: SideDescription;
  /** The most memory its process ever held. */
  readonly peakBytes?: number;
  /** Losses, scores: of the first run. */
  readonly values?: Readonly<Record<string, number>>;
  /** The same of the last run; what trains has other weights by then. */
  readonly lastValues?: Readonly<Record<string, number>>;
  /** What the median of a training step comes to. */
  readonly samplesPerSecond?: number;
  /** The most cores that it used while the other ran. */
  readonly idleLoad?: number;
  /** The most cores that programs outside the benchmark used in a round that counts. */
  readonly foreignLoad?: number;
}

/** Results against each other, or of each against the reference. */
export interface OutputComparison {
  readonly oursAgainstPeer?: Agreement;
  readonly oursAgainstReference?: Agreement;
  readonly peerAgainstReference?: Agreement;
}

/** A comparison's outcome. A side is absent when it was not asked for. */
export interface ComparisonResult {
  readonly name: string;
  readonly unit: Comparison['unit'];
  readonly ours?: SideResult;
  readonly peer?: SideResult;
  /** Our median over the peer's. */
  readonly ratio?: number;
  readonly targetRatio?: number;
  readonly targetValue?: number;
  /** Whether every target was reached; absent when there is none. */
  readonly met?: boolean;
  readonly outputs?: OutputComparison;
}

/**
 * Joins both sides' numbers and judges them.
 *
 * @example
 * const { ratio, met } = conclude(comparison, { ours, peer });
 */
export function conclude(
  { name, unit, samplesPerRun, targetRatio, targetValue, targetCosine }: Comparison,
  { ours, peer, outputs }: Pick<ComparisonResult, 'ours' | 'peer' | 'outputs'>,
): ComparisonResult {
  const ratio = ours && peer ? ours.median / peer.median : undefined;
  const cosine = outputs?.oursAgainstReference?.cosine.min;
  const verdicts = [
    targetRatio !== undefined && ratio !== undefined ? ratio <= targetRatio : undefined,
    targetValue !== undefined && ours !== undefined ? ours.median <= targetValue : undefined,
    targetCosine !== undefined && cosine !== undefined ? cosine >= targetCosine : undefined,
  ].filter((verdict) => verdict !== undefined);
  const withRate = (side: SideResult): SideResult =>
    samplesPerRun === undefined ? side : { ...side, samplesPerSecond: (1000 * samplesPerRun) / side.median };
  return {
    name,
    unit,
    ...(ours && { ours: withRate(ours) }),
    ...(peer && { peer: withRate(peer) }),
    ...(ratio !== undefined && { ratio }),
    ...(targetRatio !== undefined && { targetRatio }),
    ...(targetValue !== undefined && { targetValue }),
    ...(verdicts.length > 0 && { met: verdicts.every(Boolean) }),
    ...(outputs && { outputs }),
  };
}
