import { mkdir, stat } from 'node:fs/promises';
import { fileProblem } from '@blip2/checkpoints/node';
import { UsageError } from '../command-line.ts';

/**
 * Makes the folder of `--output`, before the work whose results it is for.
 *
 * @throws {UsageError} when a file has its name.
 * @throws {CheckpointError} when it cannot be made.
 */
export async function makeOutputFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (cause) {
    if ((await stat(path).catch(() => undefined))?.isDirectory() === false)
      throw new UsageError(`--output ${path}: is a file, expected a folder. Name another one.`, { cause });
    throw fileProblem('write', path, cause);
  }
}
