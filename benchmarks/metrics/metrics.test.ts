import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { measure } from '../peers/measure.ts';
import { planMetrics } from './comparisons.ts';
import { FILES, metricsFolder } from './inputs.ts';

const python = process.env['BLIP2_PEER_PYTHON'];
const sizes = { images: 20, questions: 50 };
let parent: string;
let folder: string;

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'blip2-metrics-'));
  folder = await metricsFolder(parent, sizes);
});
afterAll(() => rm(parent, { recursive: true }));

it('the files are the same whenever they are written, and are written once', async () => {
  const again = await mkdtemp(join(tmpdir(), 'blip2-metrics-'));
  try {
    const other = await metricsFolder(again, sizes);
    for (const name of Object.values(FILES))
      expect(await readFile(join(other, name), 'utf8')).toBe(await readFile(join(folder, name), 'utf8'));
    await metricsFolder(again, sizes, () => expect.unreachable());
  } finally {
    await rm(again, { recursive: true });
  }
});

it('our side does all that is planned, with the same scores from files and from tokens', async () => {
  const plans = planMetrics({ folder, python: 'python3', rounds: 1 });
  const values = new Map<string, Readonly<Record<string, number>>>();
  for (const { comparison } of plans) {
    const { ours } = await measure({ ...comparison, rounds: { ...comparison.rounds, pauseMs: 0 } }, { sides: 'ours' });
    expect(ours!.median).toBeGreaterThan(0);
    values.set(comparison.name, ours!.values!);
  }
  const { 'processor seconds': _, ...scores } = values.get('captions')!;
  expect(values.get('caption-metrics')).toMatchObject(scores);
  expect(values.get('vqa')).toMatchObject({ questions: 50, accuracy: expect.closeTo(75, -2) });
});

it.skipIf(python === undefined)('the peer has the same scores (with BLIP2_PEER_PYTHON)', async () => {
  const { comparison } = planMetrics({ folder, python: python!, rounds: 1 })[1]!;
  const { ours, peer } = await measure(comparison);
  for (const [name, value] of Object.entries(peer!.values!)) expect(ours!.values![name]).toBeCloseTo(value, 9);
});
