import { randomUUID } from 'node:crypto';
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileProblem } from '@blip2/checkpoints/node';

/** `step-00001234`: names sort as steps do, up to 99,999,999. */
export function stepFolder(step: number): string {
  return `step-${String(step).padStart(8, '0')}`;
}

/** Steps of the checkpoints in a folder, the newest first; nothing is said about their state. */
export async function checkpointsIn(folder: string): Promise<number[]> {
  const steps = (await namesIn(folder)).flatMap((name) => {
    const step = /^step-(\d{8,15})$/.exec(name)?.[1];
    return step !== undefined && stepFolder(Number(step)) === name ? [Number(step)] : [];
  });
  return steps.toSorted((a, b) => b - a);
}

/** Removes a checkpoint if it is there. It loses its name first, so that nobody sees half of it. */
export async function removeCheckpoint(folder: string, step: number): Promise<void> {
  const temporary = join(folder, `.${stepFolder(step)}.${randomUUID().slice(0, 8)}.old.tmp`);
  const path = join(folder, stepFolder(step));
  try {
    await rename(path, temporary);
  } catch (cause) {
    if (isMissing(cause)) return;
    throw fileProblem('write', path, cause);
  }
  await rm(temporary, { recursive: true, force: true });
}

/** Removes what interrupted runs left under temporary names. */
export async function removeLeftovers(folder: string): Promise<void> {
  const names = await namesIn(folder);
  const leftovers = names.filter((name) => /^\.step-\d{8,15}\..+\.tmp$/.test(name));
  for (const name of leftovers) await rm(join(folder, name), { recursive: true, force: true });
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (cause) {
    if (isMissing(cause)) return [];
    throw fileProblem('read', folder, cause);
  }
}

/** True when a system call found nothing under a path. */
export function isMissing(cause: unknown): boolean {
  return typeof cause === 'object' && cause !== null && 'code' in cause && cause.code === 'ENOENT';
}
