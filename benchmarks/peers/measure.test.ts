import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { scripted } from './__fixtures__/scripted.ts';
import type { Comparison } from './comparison.ts';
import { measure } from './measure.ts';

let folder: string;
let log: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-measure-'));
  log = join(folder, 'log');
});
afterEach(() => rm(folder, { recursive: true }));

const asked = async (): Promise<string[]> => (await readFile(log, 'utf8')).trim().split('\n');

function comparison(changes: Partial<Comparison> = {}): Comparison {
  return {
    name: 'work',
    measures: 'run',
    unit: 'ms',
    ours: scripted('ours', [100, 2, 9, 4], log),
    peer: scripted('peer', [100, 8, 10, 9], log),
    rounds: { least: 3, most: 3, seconds: 0, pauseMs: 0 },
    ...changes,
  };
}

describe('runs', () => {
  it('are taken in turn, after a warm-up that does not count', async () => {
    const result = await measure(comparison({ targetRatio: 0.5, samplesPerRun: 8 }));
    expect(result).toMatchObject({
      ours: {
        samplesPerSecond: 2000,
        name: 'ours',
        samples: [2, 9, 4],
        median: 4,
        values: { runs: 1 },
        lastValues: { runs: 4 },
        peakBytes: 1e9,
      },
      peer: { name: 'peer', samples: [8, 10, 9], median: 9 },
      ratio: 4 / 9,
      met: true,
    });
    const lines = await asked();
    const pairs = [0, 1, 2, 3].flatMap(() => ['ours run', 'peer run']); // the warm-up, then three
    expect(lines.slice(0, -2)).toEqual(['ours load', 'peer load', ...pairs, 'ours memory', 'peer memory']);
    expect(lines.slice(-2).toSorted()).toEqual(['ours quit', 'peer quit']);
  });

  it('end when there were enough and time is over', async () => {
    const { ours } = await measure(comparison({ rounds: { least: 2, most: 100, seconds: 0, pauseMs: 0, warmUps: 0 } }));
    expect(ours!.samples).toEqual([100, 2]);
  });

  it('of one side give its number and no ratio', async () => {
    const result = await measure(comparison({ targetRatio: 1, comparesOutputs: true }), { sides: 'peer' });
    expect(result).toMatchObject({ name: 'work', unit: 'ms', peer: { median: 9 }, targetRatio: 1 });
    expect(Object.keys(result)).not.toEqual(expect.arrayContaining(['ours']));
    expect(result.ratio).toBeUndefined();
    expect(result.met).toBeUndefined();
  });

  it('compare what came out', async () => {
    const { outputs } = await measure(comparison({ comparesOutputs: true, peer: scripted('tilted', [1]) }));
    // Rows [1, 0] and [0, 0] against [1, 0] and [0, 0.5]: a row of zeros has no direction.
    expect(outputs!.oursAgainstPeer).toMatchObject({ largestRelativeDifference: 0.5, cosine: { min: Number.NaN } });
  });

  it('may be compared with a reference that runs first and alone', async () => {
    const reference = scripted('reference', [1], log);
    const { outputs, met } = await measure(comparison({ reference, targetCosine: 0.999 }));
    expect(Object.keys(outputs!)).toEqual(['oursAgainstReference', 'peerAgainstReference']);
    expect((await asked()).slice(0, 5)).toEqual(
      ['load', 'run', 'output', 'quit'].map((command) => `reference ${command}`).concat('ours load'),
    );
    expect(met).toBe(false); // not a number is no agreement
  });

  it('that fail end both processes', async () => {
    const peer = scripted('peer', ['fail'], log);
    await expect(measure(comparison({ peer }))).rejects.toThrow('out of patience');
    expect((await asked()).filter((line) => line.endsWith('quit')).toSorted()).toEqual(['ours quit', 'peer quit']);
  });
});

describe('starts', () => {
  it('are new processes, in turn; the first of each does not count', async () => {
    const result = await measure(comparison({ measures: 'start', rounds: { least: 2, most: 2, seconds: 0, pauseMs: 0 } }));
    expect(result.ours!.samples).toHaveLength(2);
    expect(result.ratio).toBe(result.ours!.median / result.peer!.median);
    const starts = (await asked()).filter((line) => line.endsWith('load'));
    expect(starts).toEqual(['ours load', 'peer load', 'ours load', 'peer load', 'ours load', 'peer load']);
  });
});

describe('memory', () => {
  it('is the most after one run, judged by a number', async () => {
    expect(await measure(comparison({ measures: 'memory', unit: 'bytes', targetValue: 1.5e9 }))).toMatchObject({
      ours: { median: 1e9 },
      peer: { median: 1e9 },
      ratio: 1,
      met: true,
    });
    expect(await measure(comparison({ measures: 'memory', unit: 'bytes', targetValue: 9e8 }))).toMatchObject({ met: false });
  });
});
