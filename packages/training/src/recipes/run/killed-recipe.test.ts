import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { seededRandom } from '@blip2/core';
import { shapesWorldCounts, writeShapesWorld } from '@blip2/datasets/node';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readTrainingLog } from '../../logs/json-lines.ts';
import { type Happening, runInFolder } from './killed-recipe-test-child.ts';

const CHILD = join(import.meta.dirname, 'killed-recipe-test-child.ts');

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-killed-recipe-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** Ten pictures with captions. */
async function writePhotos(): Promise<string> {
  const [world, photos] = [join(folder, 'world'), join(folder, 'photos')];
  await writeShapesWorld(world, { seed: 1, size: 48, counts: shapesWorldCounts(10) });
  const images = join(world, 'coco/images/train2014');
  await mkdir(photos);
  const names = await readdir(images);
  for (const name of names) await rename(join(images, name), join(photos, name));
  const rows = names.map((image, index) => JSON.stringify({ image, caption: `picture number ${index}` }));
  await writeFile(join(photos, 'captions.jsonl'), rows.join('\n'));
  return photos;
}

/** Runs a child and kills it a while after something has happened so often. @returns whether it was killed. */
async function runAndKill(place: string, data: string, what: Happening, times: number, delayMs: number): Promise<boolean> {
  const child = spawn(process.execPath, ['--no-warnings', CHILD, place, data], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<boolean>((resolve) => child.once('exit', (_, signal) => resolve(signal === 'SIGKILL')));
  let seen = 0;
  for await (const chunk of child.stdout) {
    seen += String(chunk).split(what).length - 1;
    if (seen < times) continue;
    await delay(delayMs);
    child.kill('SIGKILL');
    break;
  }
  return ended;
}

const valuesOf = async (place: string): Promise<unknown[]> =>
  (await readTrainingLog(join(place, 'log.jsonl'))).map(({ kind, step, values }) => ({ kind, step, values }));

it('a compiled recipe that is killed again and again is the one that was not', { timeout: 300_000 }, async () => {
  const [whole, killed, data] = [join(folder, 'whole'), join(folder, 'killed'), await writePhotos()];
  await runInFolder(whole, data, () => undefined);
  const random = seededRandom(4);
  // Before the first step, while images are encoded and after; between steps and in checkpoints; while the model is written.
  const moments: readonly [Happening, number][] = [
    ['e', 1],
    ['e', 2],
    ['.', 1],
    ['.', 3],
    ['w', 1],
    ['w', 20],
  ];
  for (const [what, times] of moments) {
    expect(await runAndKill(killed, data, what, times, 10 * random()), `it ended before ${times} × '${what}'`).toBe(true);
  }
  await runInFolder(killed, data, () => undefined);
  expect(await valuesOf(killed)).toEqual(await valuesOf(whole));
  const modelOf = (place: string): Promise<Buffer> => readFile(join(place, 'model', 'model.safetensors'));
  expect((await modelOf(killed)).equals(await modelOf(whole))).toBe(true);
  const namesIn = async (place: string): Promise<string[]> => (await readdir(place)).toSorted();
  expect(await namesIn(killed)).toEqual(await namesIn(whole)); // nothing half-written is left
  expect(await namesIn(join(killed, 'features'))).toContain('pictures.jsonl');
  expect((await namesIn(join(killed, 'features'))).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  expect(await namesIn(join(killed, 'model'))).toEqual(await namesIn(join(whole, 'model')));
});
