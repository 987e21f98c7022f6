import { basename, dirname, join } from 'node:path';
import { CheckpointError } from '@blip2/core';
import { checkpointsIn, stepFolder } from './checkpoint-names.ts';
import { type ReadCheckpoint, readCheckpoint } from './read-and-write.ts';

/**
 * The checkpoint in a folder, all of it checked.
 *
 * @param path - `runs/one/step-00000500`
 * @throws {CheckpointError} when there is none, or it is damaged.
 */
export async function checkpointAt(path: string): Promise<ReadCheckpoint> {
  const found = await readCheckpoint(path, stepOf(path) ?? 0);
  if (!('problem' in found)) return found;
  throw new CheckpointError(`${path}: is no whole checkpoint: ${found.problem}. Name another one of the run.`, path);
}

/**
 * A checkpoint that somebody names: its own folder, or that of the run. Of a run that is the best one, where held-out records were
 * measured, else the newest that is whole.
 *
 * @throws {CheckpointError} when there is none.
 */
export async function chosenCheckpoint(path: string): Promise<ReadCheckpoint> {
  if (stepOf(path) !== undefined) return checkpointAt(path);
  const steps = await checkpointsIn(path);
  for (const step of steps) {
    const found = await readCheckpoint(join(path, stepFolder(step)), step);
    if ('problem' in found) continue;
    const best = found.checkpoint.counts.best?.step ?? step;
    return best !== step && steps.includes(best) ? checkpointAt(join(path, stepFolder(best))) : found;
  }
  throw new CheckpointError(
    `${path}: has no whole checkpoint, expected the folder of a run, or of a checkpoint such as ${stepFolder(500)}. Name one.`,
    path,
  );
}

function stepOf(path: string): number | undefined {
  const step = /^step-(\d{8,15})$/.exec(basename(path))?.[1];
  return step === undefined || dirname(path) === path ? undefined : Number(step);
}
