import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Comparison } from './comparison.ts';
import { COMPARISON_NAMES, type ComparisonSettings, planComparisons } from './comparisons.ts';
import { BenchmarkData } from './data.ts';
import { measure } from './measure.ts';
import type { Task } from './protocol.ts';

const python = process.env['BLIP2_PEER_PYTHON'];
let folder: string;
let settings: ComparisonSettings;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-comparisons-'));
  const data = new BenchmarkData(folder, { small: true });
  settings = { data, python: python ?? '', threads: 2, small: true, rounds: 1 };
});
afterAll(() => rm(folder, { recursive: true }));

const planned = async (name: string): Promise<Comparison> => planComparisons(settings, [name])[0]!.plan();

/** The comparison with both sides in fp32, which has the same numbers everywhere. */
function inFloat32(comparison: Comparison): Comparison {
  const float32 = (contender: Comparison['ours']): Comparison['ours'] => ({
    ...contender,
    task: { ...contender.task, dtype: 'fp32' } as Task,
  });
  return { ...comparison, ours: float32(comparison.ours), peer: float32(comparison.peer) };
}

it('names what is compared', () => {
  expect(COMPARISON_NAMES).toEqual([
    'vit-g-fp32-b1',
    'vit-g-fp32-b8',
    'vit-g-int8-b1',
    'vit-g-int8-b8',
    'qformer-fp32-b8',
    'opt-2.7b-decode-b1',
    'opt-2.7b-decode-beam5',
    'flan-t5-xl-decode-b1',
    'flan-t5-xl-decode-beam5',
    'qformer-train-step',
    'qformer-train-step-eager',
    'stage-2-opt-2.7b-8-of-32-layers-train-step',
    'tiny-stage-1-train-step',
    'tiny-stage-2-opt-train-step',
    'tiny-stage-2-t5-train-step',
    'start-itm-vit-g',
    'memory-fp32',
    'memory-int8',
  ]);
  const names = (only: readonly string[]): string[] => planComparisons(settings, only).map(({ name }) => name);
  expect(names([])).toEqual(COMPARISON_NAMES);
  expect(names(['opt', 'memory-int8'])).toEqual(['opt-2.7b-decode-b1', 'opt-2.7b-decode-beam5', 'memory-int8']);
  expect(names(['no such thing'])).toEqual([]);
});

describe('our side', () => {
  const ofEachKind = [
    'vit-g-int8-b1',
    'qformer-fp32-b8',
    'opt-2.7b-decode-beam5',
    'flan-t5-xl-decode-b1',
    'start-itm-vit-g',
    'memory-fp32',
  ];

  it.each(ofEachKind)('does %s', async (name) => {
    const { ours, outputs } = await measure(await planned(name), { sides: 'ours' });
    expect(ours!.samples).toHaveLength(1);
    expect(ours!.median).toBeGreaterThan(0);
    if (outputs !== undefined) expect(outputs.oursAgainstReference!.cosine.min).toBeGreaterThan(0.999);
  });

  it('trains: compiled and eager steps have the losses of an untrained model', async () => {
    const { ours, peer } = await measure(await planned('qformer-train-step-eager'));
    expect(ours!.name).toBe('blip2.js compiled fp32');
    expect(peer!.name).toBe('blip2.js eager fp32');
    for (const [name, value] of Object.entries(peer!.values!)) expect(ours!.values![name]).toBeCloseTo(value, 5);
    expect(ours!.values!['contrast']).toBeCloseTo(Math.log(8), 2);
    expect(ours!.values!['matching']).toBeCloseTo(Math.log(2), 1);
    expect(ours!.values!['captioning']).toBeCloseTo(Math.log(30_523), 0);
  }, 120_000);

  it.each([
    ['tiny-stage-2-opt-train-step', 625],
    ['tiny-stage-2-t5-train-step', 178],
  ] as const)('trains a little in %s, from the loss of an untrained model', async (name, words) => {
    const { ours } = await measure(await planned(name), { sides: 'ours' });
    expect(ours!.values!['loss']).toBeCloseTo(Math.log(words), 0);
    expect(ours!.lastValues!['loss']).toBeLessThan(ours!.values!['loss']!);
    expect(ours!.samplesPerSecond).toBeCloseTo((8 * 1000) / ours!.median, 6);
  });

  it('knows comparisons by name, and several by how their names begin', () => {
    const namesOf = (text: string): string[] => planComparisons(settings, [text]).map(({ name }) => name);
    expect(namesOf('qformer-train-step')).toEqual(['qformer-train-step']);
    expect(namesOf('qformer-train')).toEqual(['qformer-train-step', 'qformer-train-step-eager']);
  });

  it('says what an engine lacks', async () => {
    const [comparison] = planComparisons({ ...settings, engine: 'eager' }, ['memory-int8']);
    await expect(measure(await comparison!.plan(), { sides: 'ours' })).rejects.toThrow(/got int8, expected fp32/);
    const [training] = planComparisons({ ...settings, engine: 'eager' }, ['tiny-stage-2-t5']);
    await expect(measure(await training!.plan(), { sides: 'ours' })).rejects.toThrow(/got stage 2, expected stage 1/);
  });
});

// Needs an interpreter with PyTorch and transformers, which a test run must not install: name one to run these.
describe.skipIf(python === undefined)('the same numbers as PyTorch', () => {
  it.each(['vit-g-fp32-b8', 'qformer-fp32-b8'])('%s', async (name) => {
    const { outputs } = await measure(await planned(name));
    expect(outputs!.oursAgainstPeer!.largestRelativeDifference).toBeLessThan(1e-5);
  });

  it.each(['opt-2.7b-decode-b1', 'opt-2.7b-decode-beam5', 'flan-t5-xl-decode-b1', 'flan-t5-xl-decode-beam5'])(
    '%s',
    async (name) => {
      const { outputs } = await measure({ ...inFloat32(await planned(name)), comparesOutputs: true });
      expect(outputs!.oursAgainstPeer!.largestRelativeDifference).toBe(0); // token ids
    },
  );

  it('start-itm-vit-g', async () => {
    const { ours, peer } = await measure(await planned('start-itm-vit-g'));
    expect(ours!.values!['match']).toBeCloseTo(peer!.values!['match']!, 4);
  });

  // The last values are those of the third step, which two updates of all weights lead to.
  it.each(COMPARISON_NAMES.filter((name) => name.endsWith('train-step')))('%s', async (name) => {
    const { ours, peer } = await measure(await planned(name));
    for (const when of ['values', 'lastValues'] as const) {
      for (const [key, value] of Object.entries(peer![when]!)) expect(ours![when]![key]).toBeCloseTo(value, 4);
    }
    expect(peer!.values!['loss']! - peer!.lastValues!['loss']!).toBeGreaterThan(5e-4);
  });
});
