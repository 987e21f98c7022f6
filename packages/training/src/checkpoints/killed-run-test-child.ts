// A run that a test kills: node killed-run-test-child.ts FOLDER. Writes one dot for each step that it has taken.
import { writeSync } from 'node:fs';
import { warmupCosine } from '../schedules/schedules.ts';
import { SmallBatches, smallStep } from '../trainer/small-run-test-support.ts';
import { train } from '../trainer/train.ts';
import { trainingFolder } from './training-folder.ts';

/** Steps of the whole run. */
export const STEPS = 90;

/** The run, from the newest checkpoint in the folder to its end. */
export async function runInFolder(folder: string, onStep: () => void): Promise<void> {
  using step = await smallStep();
  await train({
    step,
    batches: new SmallBatches((index) => index % 13 === 5) as never, // some steps are skipped, which has to be remembered
    schedule: warmupCosine({ peak: 0.05, warmupSteps: 10, totalSteps: STEPS }),
    totalSteps: STEPS,
    saveEvery: 2,
    logEvery: 1,
    evaluateEvery: 7,
    evaluate: async ({ step: at }) => ({ distance: Math.abs(at - 40) }),
    best: { metric: 'distance', better: 'lower' },
    ...trainingFolder(folder, { identity: { recipe: 'small' }, keep: 2, showProgress: false }),
    onProgress: onStep,
  });
}

if (process.argv[1] === import.meta.filename) await runInFolder(process.argv[2]!, () => writeSync(1, '.'));
