import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readTrainingLog } from '../logs/json-lines.ts';
import { constantSchedule } from '../schedules/schedules.ts';
import { SmallBatches, smallStep } from '../trainer/small-run-test-support.ts';
import { train } from '../trainer/train.ts';
import type { TrainOptions } from '../trainer/train-options.ts';
import { trainingFolder, type TrainingFolderOptions } from './training-folder.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-run-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function run(
  totalSteps: number,
  more: Partial<TrainOptions<never>> = {},
  options: TrainingFolderOptions = {},
): Promise<void> {
  using step = await smallStep();
  const identity = { recipe: 'small', betas: [0.9, 0.98], data: { name: 'curve' } };
  const parts = trainingFolder(folder, { identity, showProgress: false, title: 'A small run', samplesPerStep: 8, ...options });
  const batches = new SmallBatches() as never;
  await train({ step, batches, schedule: constantSchedule(0.02), totalSteps, logEvery: 1, saveEvery: 5, ...parts, ...more });
}

it('holds all of a run, which goes on and ends', async () => {
  await run(10);
  await run(20); // as if it had been told to train longer
  expect((await readdir(folder)).toSorted()).toEqual([
    'log.jsonl',
    'report.html',
    'step-00000010',
    'step-00000015',
    'step-00000020',
    'tensorboard',
  ]);
  expect((await readTrainingLog(join(folder, 'log.jsonl'))).map(({ step }) => step)).toEqual(
    Array.from({ length: 20 }, (_, index) => index + 1),
  );
  expect(await readdir(join(folder, 'tensorboard'))).toHaveLength(2);
  const page = await readFile(join(folder, 'report.html'), 'utf8');
  expect(page).toContain('<h1>A small run</h1><p>Complete');
  expect(page.match(/<th scope="row">[a-z.]+<\/th><td>[^<]*/g)).toEqual([
    '<th scope="row">recipe</th><td>small',
    '<th scope="row">betas</th><td>0.9, 0.98',
    '<th scope="row">data.name</th><td>curve',
  ]);
});

it('keeps a second run out while the first one runs', async () => {
  const seen: unknown[] = [];
  const logger = {
    async flush() {
      seen.push(await run(10).catch((error: Error) => error.message.replaceAll(folder, 'runs/one')));
    },
  };
  await run(5, {}, { loggers: [logger] });
  expect(seen).toMatchInlineSnapshot(`
    [
      "runs/one: another run writes to this folder. Wait for it to end, or choose another folder; if it was on a machine that is gone, remove runs/one/.lock.",
    ]
  `);
  await run(6); // the lock is gone
});

it('a run that fails leaves its log and a report that says so', async () => {
  const evaluate = (): Promise<never> => Promise.reject(new RangeError('no'));
  await expect(run(10, { evaluateEvery: 7, evaluate })).rejects.toThrow(RangeError);
  expect(await readFile(join(folder, 'report.html'), 'utf8')).toContain('<p>Ended by an error');
  expect(await readTrainingLog(join(folder, 'log.jsonl'))).toHaveLength(7);
  await run(10);
  expect(await readTrainingLog(join(folder, 'log.jsonl'))).toHaveLength(10);
});
