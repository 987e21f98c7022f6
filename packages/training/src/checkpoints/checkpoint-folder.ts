import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError, InputError, listSome } from '@blip2/core';
import type { JsonValue } from '../trainer/batch-source.ts';
import type { CheckpointStore, TrainingCheckpoint } from '../trainer/checkpoint-store.ts';
import { checkpointsIn, removeCheckpoint, removeLeftovers, stepFolder } from './checkpoint-names.ts';
import { assertJson, differences } from './identity.ts';
import { readCheckpoint, writeCheckpoint } from './read-and-write.ts';

/** Options of {@link checkpointFolder}. */
export interface CheckpointFolderOptions {
  /**
   * What makes a run the run it is: recipe, data, sizes, seeds, schedule, as a JSON value. A checkpoint of another one is refused.
   * @default null
   */
  readonly identity?: JsonValue;
  /** How many of the newest checkpoints stay, besides the best one. @default 3 */
  readonly keep?: number;
  /** Whether a run goes on from what is in the folder; without it, a folder with checkpoints is refused. @default true */
  readonly resume?: boolean;
  /** Told about checkpoints that are damaged and were not taken. @default `process.emitWarning` */
  readonly onWarning?: (message: string) => void;
}

/**
 * Checkpoints in a folder: `step-00001234/` with `state.safetensors` (parameters and both moments, float32) and `state.json`. Each is
 * written under a temporary name, flushed to the disk and renamed, so that it is there whole or not at all. Checksums are compared
 * when one is read; a damaged one is passed over, and the next older one is taken.
 *
 * One run at a time may write to a folder.
 *
 * @param folder - Made when the first checkpoint is saved.
 *
 * @example
 * await train({ step, batches, schedule, totalSteps, checkpoints: checkpointFolder('runs/one', { identity: { recipe: 'stage1', seed: 1 } }) });
 */
export function checkpointFolder(folder: string, options: CheckpointFolderOptions = {}): CheckpointStore {
  const { identity = null, keep = 3, resume = true, onWarning = (message) => process.emitWarning(message) } = options;
  if (!Number.isInteger(keep) || keep < 1) {
    throw new InputError(
      `checkpointFolder: keep is ${keep}, expected a whole number of 1 or more. The newest checkpoint always stays.`,
    );
  }
  assertJson(identity, 'the identity');
  const damaged = new Set<number>();
  return {
    async load() {
      const steps = await checkpointsIn(folder);
      if (steps.length > 0 && !resume) throw refuseToBegin(folder, steps);
      await removeLeftovers(folder);
      for (const step of steps) {
        const found = await readCheckpoint(join(folder, stepFolder(step)), step);
        if (!('problem' in found)) {
          assertIdentity(join(folder, stepFolder(step)), found.identity, identity);
          return found.checkpoint;
        }
        damaged.add(step);
        onWarning(`${join(folder, stepFolder(step))}: ${found.problem}. It is left alone, and the one before it is taken.`);
      }
      if (steps.length > 0) throw nothingWhole(folder, steps);
      return undefined;
    },

    async save(checkpoint: TrainingCheckpoint) {
      await mkdir(folder, { recursive: true });
      await removeCheckpoint(folder, checkpoint.step); // a damaged one of the same step
      await writeCheckpoint(join(folder, stepFolder(checkpoint.step)), checkpoint, identity);
      damaged.delete(checkpoint.step);
      const whole = (await checkpointsIn(folder)).filter((step) => !damaged.has(step));
      const best = checkpoint.counts.best?.step;
      for (const step of whole.slice(keep)) if (step !== best) await removeCheckpoint(folder, step);
    },
  };
}

function assertIdentity(path: string, found: JsonValue, expected: JsonValue): void {
  const different = differences(found, expected);
  if (different.length === 0) return;
  throw new CheckpointError(
    `${path}: is a checkpoint of another run: ${listSome(different, '; ')}. ` +
      `Train with the settings it was made with, or choose another folder.`,
    path,
  );
}

function refuseToBegin(folder: string, steps: readonly number[]): CheckpointError {
  return new CheckpointError(
    `${folder}: holds ${listSome(steps.map(stepFolder))}, expected no checkpoint, because resume is false. ` +
      `Choose another folder, or go on from the newest with resume: true.`,
    folder,
  );
}

function nothingWhole(folder: string, steps: readonly number[]): CheckpointError {
  return new CheckpointError(
    `${folder}: none of its checkpoints is whole (${listSome(steps.map(stepFolder))}). ` +
      `Copy one from elsewhere into the folder, or remove them to begin anew.`,
    folder,
  );
}
