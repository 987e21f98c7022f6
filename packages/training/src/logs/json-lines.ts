import { mkdir, open, readFile, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileProblem } from '@blip2/checkpoints/node';
import { isMissing } from '../checkpoints/checkpoint-names.ts';
import type { TrainingLogger, TrainingRecord } from '../trainer/training-log.ts';
import { decodeRecord, encodeRecord } from './record-lines.ts';

const NEWLINE = 10;

/**
 * Writes records to a file, one JSON object a line: `{"kind":"training","step":10,"timeMs":…,"values":{"loss":1.25,…}}`. When a run
 * goes on from a checkpoint, lines of later steps are cut off first, so that no step is there twice.
 *
 * @param path - Of the file; it and its folder are made.
 *
 * @example
 * await train({ step, batches, schedule, totalSteps, loggers: [jsonLinesLogger('runs/one/log.jsonl')] });
 */
export function jsonLinesLogger(path: string): TrainingLogger {
  let file: FileHandle | undefined;
  const attempt = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    try {
      return await work();
    } catch (cause) {
      throw fileProblem('write', path, cause);
    }
  };
  return {
    begin: (step) =>
      attempt(async () => {
        await mkdir(dirname(path), { recursive: true });
        file = await open(path, 'a+');
        await file.truncate(validLength(await readFile(path), step));
      }),
    log: (record) => attempt(async () => file?.appendFile(encodeRecord(record))),
    flush: () => attempt(async () => file?.datasync()),
    close: () => attempt(async () => file?.close()),
  };
}

/** Bytes from the beginning whose lines are whole and of no later step. */
function validLength(bytes: Uint8Array, step: number): number {
  let end = 0;
  for (;;) {
    const newline = bytes.indexOf(NEWLINE, end);
    if (newline === -1) return end;
    const record = decodeRecord(new TextDecoder().decode(bytes.subarray(end, newline)));
    if (record === undefined || record.step > step) return end;
    end = newline + 1;
  }
}

/**
 * The records of a file that {@link jsonLinesLogger} wrote, in their order. Lines that are broken are left out.
 *
 * @returns no records when there is no such file.
 * @throws {CheckpointError} when the file cannot be read.
 */
export async function readTrainingLog(path: string): Promise<TrainingRecord[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if (isMissing(cause)) return [];
    throw fileProblem('read', path, cause);
  }
  return text.split('\n').flatMap((line) => decodeRecord(line) ?? []);
}
