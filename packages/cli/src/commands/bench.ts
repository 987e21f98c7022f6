import { createRequire } from 'node:module';
import { availableParallelism, cpus, totalmem } from 'node:os';
import process from 'node:process';
import * as tf from '@tensorflow/tfjs-core';
import { type Measurements, measureBlip2, type StageTimes } from 'blip2/node';
import { defineCommand, type Command } from '../command.ts';
import { chooseEnginesFor, isEager } from '../engine-options.ts';
import { type CommonValues, loadModel } from '../session.ts';

export const benchCommand: Command = defineCommand({
  name: 'bench',
  usage: 'bench [--model FOLDER|HUB-ID] [options]',
  description:
    "Measures a model on this machine: time to load, of each stage for noise in an image's place, to the first token and for each further one; peak memory.",
  options: {
    images: { type: 'integer', hint: 'N', min: 1, description: 'images that go through together', default: 1 },
    newTokens: { type: 'integer', hint: 'N', min: 2, description: 'tokens to write for each image', default: 20 },
    beams: { type: 'integer', hint: 'N', min: 1, description: 'beams of beam search; 1 is greedy', default: 5 },
    repeat: { type: 'integer', hint: 'N', min: 1, description: 'measured runs, after one that does not count', default: 5 },
  },
  async run(_, values, session) {
    const { output, abortSignal } = session;
    const begin = performance.now();
    const engine = await chooseEnginesFor(values, output);
    using model = await loadModel(values, session, { writesText: true, engine });
    const loadMs = performance.now() - begin;
    const { images, newTokens, beams, repeat } = values;
    const onRun = (done: number, total: number): void => output.progress(`run ${done} of ${total}`, done / total);
    const measurements = await measureBlip2(model, { images, newTokens, beams, repeat, abortSignal, onRun });
    const conditions = describeConditions(values, isEager(engine), model.engine);
    const peakBytes = process.resourceUsage().maxRSS * 1024; // counted in KiB
    const writes = model.languageModel !== undefined;
    const settings = writes ? { images, newTokens, beams, repeat } : { images, repeat };
    const fields = {
      model: model.name,
      ...conditions,
      ...settings,
      loadMs: rounded(loadMs),
      ...figures(measurements),
      peakBytes,
    };
    output.result(fields, table({ name: model.name, conditions, settings, loadMs, measurements, peakBytes }));
    return 0;
  },
});

/** Under what conditions the figures hold. */
interface Conditions {
  readonly engine: 'compiled' | 'eager';
  /** The engine's own name, with versions. */
  readonly runsOn: string;
  readonly dtype: string;
  readonly provider?: string;
  readonly threads?: number;
  /** The tfjs backend. */
  readonly backend: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly machine: {
    readonly processor: string;
    readonly cores: number;
    readonly memoryBytes: number;
    readonly platform: string;
  };
}

function describeConditions({ dtype, provider = 'cpu' }: CommonValues, eager: boolean, runsOn: string): Conditions {
  const { version } = createRequire(import.meta.url)('@blip2/cli/package.json') as { version: string };
  const processors = cpus();
  return {
    engine: eager ? 'eager' : 'compiled',
    runsOn,
    dtype,
    ...(eager ? {} : { provider, threads: availableParallelism() }),
    backend: tf.getBackend(),
    versions: { blip2: version, node: process.versions.node, tfjs: tf.version_core },
    machine: {
      processor: processors[0]?.model.trim() ?? 'unknown processor',
      cores: processors.length,
      memoryBytes: totalmem(),
      platform: `${process.platform} ${process.arch}`,
    },
  };
}

/** `visionEncoder` → `visionEncoderMs`; the first run's whole time beside the medians. */
function figures({ firstRun, medians }: Measurements): Record<string, number> {
  const named = Object.entries(medians).map(([name, value]) => [`${name}Ms`, rounded(value as number)] as const);
  return { firstRunMs: rounded(firstRun.total), ...Object.fromEntries(named) };
}

/** To microseconds. */
function rounded(milliseconds: number): number {
  return Math.round(1000 * milliseconds) / 1000;
}

/** What the stages are called in the table. */
const LABELS: Readonly<Record<keyof StageTimes, string>> = {
  preprocess: 'preprocess',
  visionEncoder: 'vision encoder',
  qformer: 'Q-Former',
  prefill: 'first token',
  token: 'each further token',
  text: 'text encoder',
  match: 'match',
  total: 'all together',
};

interface Report {
  readonly name: string;
  readonly conditions: Conditions;
  /** What was asked for; tokens and beams only of a model that writes. */
  readonly settings: { readonly images: number; readonly repeat: number; readonly newTokens?: number; readonly beams?: number };
  readonly loadMs: number;
  readonly measurements: Measurements;
  readonly peakBytes: number;
}

function table({ name, conditions, settings, loadMs, measurements, peakBytes }: Report): string {
  const { runsOn, threads, backend, versions, machine, engine } = conditions;
  const { images, newTokens, beams, repeat } = settings;
  const writing = newTokens === undefined ? '' : `, ${newTokens} new tokens, ${plural(beams ?? 1, 'beam')}`;
  const stages = Object.entries(measurements.medians).map(([stage, value]) =>
    row(LABELS[stage as keyof StageTimes], value as number),
  );
  return [
    `${name}: ${plural(images, 'image')} at once${writing}; medians of ${plural(repeat, 'run')}`,
    `${engine} on ${runsOn}${threads === undefined ? '' : `, ${plural(threads, 'thread')}; tfjs ${backend}`}`,
    `blip2 ${versions['blip2']}, tfjs ${versions['tfjs']}, Node ${versions['node']}; ${machine.cores} × ${machine.processor}, ${gigabytes(machine.memoryBytes)}, ${machine.platform}`,
    '',
    row('load', loadMs),
    row('first run', measurements.firstRun.total),
    ...stages,
    `${'peak memory'.padEnd(20)}${gigabytes(peakBytes).padStart(12)}`,
  ].join('\n');
}

function row(label: string, milliseconds: number): string {
  const digits = milliseconds < 100 ? 2 : milliseconds < 1000 ? 1 : 0;
  return `${label.padEnd(20)}${`${milliseconds.toFixed(digits)} ms`.padStart(12)}`;
}

function plural(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
