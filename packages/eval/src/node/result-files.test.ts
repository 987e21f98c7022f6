import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { problemOf } from '../__fixtures__/sources.ts';
import { readCaptionResults } from '../files/captions.ts';
import { readGqaPredictions } from '../files/gqa.ts';
import { readVqaResults } from '../files/vqa.ts';
import type { Id } from '../ids.ts';
import { fileSource } from '../node.ts';
import { writeCaptionResults, writeGqaPredictions, writeVqaResults } from './result-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'result-files-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'results.json');

it('what is written is read again', async () => {
  const id = fc.oneof(fc.integer(), fc.string({ minLength: 1 }));
  const text = fc.string({ unit: 'binary' });
  const predictions = fc.array(fc.tuple(id, text), { minLength: 1, maxLength: 9 }).map((pairs) => new Map<Id, string>(pairs));
  await fc.assert(
    fc.asyncProperty(predictions, async (some) => {
      await writeCaptionResults(path, some);
      expect(await readCaptionResults(fileSource(path))).toEqual(some);
      await writeVqaResults(path, some);
      expect(await readVqaResults(fileSource(path))).toEqual([...some].map(([question_id, answer]) => ({ question_id, answer })));
      const named = new Map([...some].map(([one, answer]) => [`${typeof one} ${one}`, answer]));
      await writeGqaPredictions(path, named);
      const expected = [...named].map(([questionId, prediction]) => ({ questionId, prediction }));
      expect(await readGqaPredictions(fileSource(path))).toEqual(expected);
    }),
    { numRuns: 50 },
  );
  expect(readdirSync(folder)).toEqual(['results.json']);
});

it('has an entry a line', async () => {
  await writeCaptionResults(
    path,
    new Map([
      [1, 'a "dog"'],
      [2, ''],
    ]),
  );
  expect(readFileSync(path, 'utf8')).toMatchInlineSnapshot(`
    "[
    {"image_id":1,"caption":"a \\"dog\\""},
    {"image_id":2,"caption":""}
    ]
    "
  `);
});

it('says what is wrong, and leaves the earlier file', async () => {
  const earlier = readFileSync(path, 'utf8');
  const wrong = [
    writeVqaResults(path, new Map()),
    writeVqaResults(path, new Map([[1, 5 as never]])),
    writeGqaPredictions(path, new Map<Id, string>([[5, 'yes']])),
    writeVqaResults(join(folder, 'none', 'results.json'), new Map([[1, 'yes']])),
  ];
  const messages = await Promise.all(wrong.map(problemOf));
  expect(messages.join('\n').replaceAll(folder, 'FOLDER')).toMatchInlineSnapshot(`
    "writeVqaResults: there are no predictions, expected at least one. Nothing was written to FOLDER/results.json.
    writeVqaResults: the prediction of 1 is 5, expected a text. Correct the model's output.
    writeGqaPredictions: question 5 is a number, expected a text, as in GQA's files. Keep ids as they were read.
    FOLDER/none/results.json: cannot be written: its folder is not there. Make it, or name another one."
  `);
  expect([readFileSync(path, 'utf8'), readdirSync(folder)]).toEqual([earlier, ['results.json']]);
});
