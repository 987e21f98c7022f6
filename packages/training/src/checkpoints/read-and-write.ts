import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileProblem, openSafetensorsFile, writeNewFolder, writePending, writeSafetensorsFile } from '@blip2/checkpoints/node';
import type { JsonValue } from '../trainer/batch-source.ts';
import type { TrainingCheckpoint } from '../trainer/checkpoint-store.ts';
import { assertJson } from './identity.ts';
import { isMissing } from './checkpoint-names.ts';
import { CHECKPOINT_VERSION, decodeStateFile, encodeStateFile, type StateFile } from './state-file.ts';
import { stateFromTensors, stateTensors, type StateTensor } from './state-tensors.ts';

const STATE_FILE = 'state.json';
const TENSORS_FILE = 'state.safetensors';

/** A checkpoint that was read, and the run it belongs to. */
export interface ReadCheckpoint {
  readonly checkpoint: TrainingCheckpoint;
  readonly identity: JsonValue;
}

/**
 * Writes a checkpoint's folder; it appears when all of it is on the disk.
 *
 * @param path - Nothing may be there yet; its parent is.
 * @throws {ResourceError} when the disk is full. @throws {CheckpointError} when the place cannot be written. @throws {InputError} for a position
 * that JSON would change.
 */
export async function writeCheckpoint(path: string, checkpoint: TrainingCheckpoint, identity: JsonValue): Promise<void> {
  const { step, state, position, counts } = checkpoint;
  assertJson(position, 'the position of the batches');
  await writeNewFolder(path, async (temporary) => {
    const file = join(temporary, TENSORS_FILE);
    await writeSafetensorsFile(file, stateTensors(state));
    const content: StateFile = {
      format: 'blip2.js training checkpoint',
      version: CHECKPOINT_VERSION,
      written: new Date().toISOString(),
      step,
      optimizerSteps: state.steps,
      position,
      identity,
      counts,
      tensors: { file: TENSORS_FILE, ...(await digestOf(file)) },
    };
    const pending = await writePending(join(temporary, STATE_FILE), (append) => append(encodeStateFile(content)));
    await pending.commit();
  });
}

/**
 * Reads a checkpoint's folder and checks all of it.
 *
 * @param step - By the folder's name.
 * @returns the checkpoint, or in words what is wrong with it.
 * @throws {CheckpointError} when it cannot be read for another reason than damage, or is of an unknown version.
 */
export async function readCheckpoint(path: string, step: number): Promise<ReadCheckpoint | { readonly problem: string }> {
  const bytes = await unlessMissing(join(path, STATE_FILE), () => readFile(join(path, STATE_FILE)));
  if (bytes === undefined) return { problem: `${STATE_FILE} is missing` };
  const content = decodeStateFile(bytes, join(path, STATE_FILE));
  if ('problem' in content) return content;
  if (content.step !== step) return { problem: `${STATE_FILE} is that of step ${content.step}` };
  const file = join(path, TENSORS_FILE);
  const found = await unlessMissing(file, () => digestOf(file, content.tensors.sizeBytes));
  if (found === undefined) return { problem: `${TENSORS_FILE} is missing` };
  if (found.sizeBytes !== content.tensors.sizeBytes) {
    return { problem: `${TENSORS_FILE} has ${found.sizeBytes} bytes, expected ${content.tensors.sizeBytes}` };
  }
  if (found.sha256 !== content.tensors.sha256) return { problem: `${TENSORS_FILE} does not have its checksum` };
  const { position, counts, identity, optimizerSteps } = content;
  const state = stateFromTensors(await readTensors(file), optimizerSteps, file);
  return { checkpoint: { step, state, position, counts }, identity };
}

async function readTensors(file: string): Promise<StateTensor[]> {
  using tensors = await openSafetensorsFile(file);
  const all: StateTensor[] = [];
  for (const name of tensors.names) {
    const weight = tensors.get(name)!;
    all.push({ name, shape: weight.shape, values: await weight.read() });
  }
  return all;
}

/** Size and checksum of a file. Nothing is read when it does not have the size that is expected. */
async function digestOf(file: string, expectedBytes?: number): Promise<{ sizeBytes: number; sha256: string }> {
  const { size } = await stat(file);
  if (expectedBytes !== undefined && size !== expectedBytes) return { sizeBytes: size, sha256: '' };
  const hash = createHash('sha256');
  for await (const piece of createReadStream(file, { highWaterMark: 4 * 1024 * 1024 })) hash.update(piece as Uint8Array);
  return { sizeBytes: size, sha256: hash.digest('hex') };
}

async function unlessMissing<Result>(path: string, read: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await read();
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw fileProblem('read', path, cause);
  }
}
