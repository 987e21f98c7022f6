import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TrainingRecord } from '../trainer/training-log.ts';
import { jsonLinesLogger, readTrainingLog } from './json-lines.ts';
import { decodeRecord, encodeRecord } from './record-lines.ts';

let path: string;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-log-'));
  path = join(folder, 'runs', 'log.jsonl');
});

afterEach(() => rm(folder, { recursive: true, force: true }));

const record = (step: number, loss = 1 / step): TrainingRecord => ({
  kind: 'training',
  step,
  timeMs: 1000 * step,
  values: { loss },
});

async function write(begin: number, records: readonly TrainingRecord[]): Promise<void> {
  const logger = jsonLinesLogger(path);
  await logger.begin!(begin);
  for (const one of records) await logger.log!(one);
  await logger.flush!();
  await logger.close!('complete');
}

describe('lines', () => {
  it('are objects with plain names', () => {
    expect(encodeRecord({ ...record(2), values: { loss: 0.5, itm: Number.NaN, norm: -Infinity } })).toMatchInlineSnapshot(`
      "{"kind":"training","step":2,"timeMs":2000,"values":{"loss":0.5,"itm":"NaN","norm":"-Infinity"}}
      "
    `);
  });

  it('come back as they were', () => {
    // A metric called __proto__ is left out when a line is read.
    const names = fc.string().filter((name) => name !== '__proto__');
    const values = fc.dictionary(names, fc.double(), { noNullPrototype: true });
    fc.assert(
      fc.property(values, (numbers) => {
        const one = { ...record(3), values: numbers };
        const text = encodeRecord(one);
        expect(text.indexOf('\n')).toBe(text.length - 1);
        // -0 is 0 in JSON.
        const expected = Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, value === 0 ? 0 : value]));
        expect(decodeRecord(text)).toEqual({ ...one, values: expected });
      }),
    );
  });

  it.each(['', '{', 'null', '{"step":1}', '{"kind":"training","step":-1,"timeMs":0,"values":{}}'])('%j is none', (text) => {
    expect(decodeRecord(text)).toBeUndefined();
  });
});

describe('jsonLinesLogger', () => {
  it('writes what the reader reads', async () => {
    await write(0, [record(1), record(2)]);
    expect(await readTrainingLog(path)).toEqual([record(1), record(2)]);
  });

  it('cuts off later steps when a run goes on, and half of a line', async () => {
    const evaluation: TrainingRecord = { ...record(2), kind: 'evaluation' };
    await write(0, [record(1), record(2), evaluation, record(3), record(4)]);
    await appendFile(path, '{"kind":"training","st');
    await write(2, [record(3, 9), record(4, 9)]);
    expect(await readTrainingLog(path)).toEqual([record(1), record(2), evaluation, record(3, 9), record(4, 9)]);
    await write(0, []);
    expect(await readFile(path, 'utf8')).toBe('');
  });

  it('says where it cannot write', async () => {
    await writeFile(join(folder, 'runs'), 'a file');
    const message = await write(0, []).catch((error: Error) => error.message.replaceAll(folder, ''));
    expect(message).toMatchInlineSnapshot(
      `"/runs/log.jsonl: cannot be written: EEXIST: file already exists, mkdir '/runs'. Check the disk, then try again."`,
    );
  });
});

it('a log that is not there has no records', async () => {
  expect(await readTrainingLog(path)).toEqual([]);
});
