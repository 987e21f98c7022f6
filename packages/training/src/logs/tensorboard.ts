import { mkdir, open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { fileProblem } from '@blip2/checkpoints/node';
import type { TrainingLogger } from '../trainer/training-log.ts';
import { encodeEvent, type TensorBoardEvent } from './tensorboard-events.ts';
import { encodeTfRecord } from './tfrecord.ts';

/**
 * Writes records as event files of TensorBoard: `training/loss`, `evaluation/cider` and so on, one curve each. Each run of a program has a
 * file of its own; one that goes on from a checkpoint begins with a mark, by which TensorBoard drops the later steps of the files before.
 *
 * @param folder - For `tensorboard --logdir`; it is made.
 *
 * @example
 * await train({ step, batches, schedule, totalSteps, loggers: [tensorBoardLogger('runs/one/tensorboard')] });
 */
export function tensorBoardLogger(folder: string): TrainingLogger {
  let file: FileHandle | undefined;
  const attempt = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (cause) {
      throw fileProblem('write', folder, cause);
    }
  };
  const append = (event: TensorBoardEvent): Promise<void> =>
    attempt(async () => file?.appendFile(encodeTfRecord(encodeEvent(event))));
  return {
    async begin(step) {
      await attempt(async () => {
        await mkdir(folder, { recursive: true });
        file = await openNew(folder);
      });
      const timeMs = Date.now();
      await append({ kind: 'version', timeMs });
      if (step > 0) await append({ kind: 'restart', step: step + 1, timeMs });
    },
    log({ kind, step, timeMs, values }) {
      const scalars = Object.fromEntries(Object.entries(values).map(([name, value]) => [`${kind}/${name}`, value]));
      return append({ kind: 'scalars', step, timeMs, scalars });
    },
    flush: () => attempt(async () => file?.datasync()),
    close: () => attempt(async () => file?.close()),
  };
}

/** TensorBoard reads the files of a folder in the order of their names, so a later one must have a larger time. */
async function openNew(folder: string): Promise<FileHandle> {
  for (let time = Date.now(); ; time++) {
    const name = `events.out.tfevents.${(time / 1000).toFixed(3)}.blip2`;
    try {
      return await open(join(folder, name), 'ax');
    } catch (cause) {
      if (!(cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')) throw cause;
    }
  }
}
