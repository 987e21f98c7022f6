import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { seededRandom } from '@blip2/core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readTrainingLog } from '../logs/json-lines.ts';
import { checkpointFolder } from './checkpoint-folder.ts';
import { runInFolder, STEPS } from './killed-run-test-child.ts';

const KILLS = 20;
const CHILD = join(import.meta.dirname, 'killed-run-test-child.ts');

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-killed-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs a child and kills it some time after so many steps. @returns whether it was killed. */
async function runAndKill(path: string, steps: number, delayMs: number): Promise<boolean> {
  const child = spawn(process.execPath, ['--no-warnings', CHILD, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<boolean>((resolve) => child.once('exit', (_, signal) => resolve(signal === 'SIGKILL')));
  let seen = 0;
  for await (const chunk of child.stdout) {
    seen += (chunk as Uint8Array).length;
    if (seen < steps) continue;
    await delay(delayMs); // a run that is killed at a moment that it does not choose: in a step, in the log, in a checkpoint
    child.kill('SIGKILL');
    break;
  }
  return ended;
}

const valuesOf = async (path: string): Promise<unknown[]> =>
  (await readTrainingLog(join(path, 'log.jsonl'))).map(({ kind, step, values }) => ({ kind, step, values }));

it(`a run that is killed ${KILLS} times is the run that was not`, { timeout: 180_000 }, async () => {
  const [whole, killed] = [join(folder, 'whole'), join(folder, 'killed')];
  await runInFolder(whole, () => undefined);
  const random = seededRandom(20);
  let kills = 0;
  while (kills < KILLS) {
    const [steps, delayMs] = [1 + Math.floor(5 * random()), 8 * random()];
    expect(await runAndKill(killed, steps, delayMs), `it ended before kill ${kills + 1}`).toBe(true);
    kills++;
  }
  await runInFolder(killed, () => undefined);

  const [expected, found] = await Promise.all(
    [whole, killed].map((path) => checkpointFolder(path, { identity: { recipe: 'small' } }).load()),
  );
  expect(expected!.step).toBe(STEPS);
  expect(found).toEqual(expected);
  expect(await valuesOf(killed)).toEqual(await valuesOf(whole));
  const names = (await readdir(killed)).toSorted();
  expect(names).toEqual((await readdir(whole)).toSorted()); // nothing half-written is left
  expect(names).toEqual(['log.jsonl', 'report.html', 'step-00000042', 'step-00000088', 'step-00000090', 'tensorboard']);
});
