import process from 'node:process';
import { fileURLToPath } from 'node:url';
import type { Comparison, Contender, Rounds } from '../peers/comparison.ts';
import type { Sides } from '../peers/measure.ts';

/** A comparison of scorers, or a measurement of ours alone. */
export interface PlannedMetrics {
  readonly comparison: Comparison;
  readonly sides: Sides;
}

/** What the comparisons run on. */
export interface MetricsSettings {
  /** Of `metricsFolder`. */
  readonly folder: string;
  /** For the peer; nothing but Python is needed. */
  readonly python: string;
  /** Pairs of runs, instead of what is planned. */
  readonly rounds?: number;
}

/** Our time may be this share of the peer's, though ours reads files and tokenises, which the peer need not. */
const CAPTION_TARGET = 0.2;
const VQA_TARGET_MS = 10_000;
const VQA_TARGET_BYTES = 1e9;

/** Everything that is measured, in order. */
export function planMetrics({ folder, python, rounds }: MetricsSettings): PlannedMetrics[] {
  const ours = (work: string, flags: readonly string[] = []): Contender => ({
    command: {
      name: 'ours',
      program: process.execPath,
      args: [...flags, fileURLToPath(new URL('our-side.ts', import.meta.url))],
      env: {},
    },
    task: { kind: 'metrics', work, folder },
  });
  const peer: Contender = {
    command: { name: 'Python', program: python, args: [fileURLToPath(new URL('python_side.py', import.meta.url))] },
    task: { kind: 'metrics', work: 'caption-metrics', folder },
  };
  const plan: Rounds = {
    least: 3,
    most: 5,
    seconds: 60,
    pauseMs: 500,
    ...(rounds !== undefined && { least: rounds, most: rounds }),
  };
  const timed = { measures: 'run', unit: 'ms', rounds: plan } as const;
  const alone = (name: string, work: string): PlannedMetrics => ({
    comparison: { ...timed, name, ours: ours(work), peer },
    sides: 'ours',
  });
  const oneThread = ours('vqa', ['--single-threaded']); // V8 collects garbage and compiles on threads of its own otherwise
  return [
    { comparison: { ...timed, name: 'captions', ours: ours('captions'), peer, targetRatio: CAPTION_TARGET }, sides: 'both' },
    { comparison: { ...timed, name: 'caption-metrics', ours: ours('caption-metrics'), peer }, sides: 'both' },
    alone('tokenizer', 'tokenizer'),
    {
      comparison: { ...timed, name: 'vqa', ours: oneThread, peer, targetValue: VQA_TARGET_MS, rounds: { ...plan, warmUps: 0 } },
      sides: 'ours',
    },
    {
      comparison: {
        name: 'vqa-memory',
        measures: 'memory',
        unit: 'bytes',
        ours: oneThread,
        peer,
        targetValue: VQA_TARGET_BYTES,
        rounds: plan,
      },
      sides: 'ours',
    },
    alone('retrieval', 'retrieval'),
  ];
}
