import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { DatasetError } from '../errors.ts';
import { fileSource } from '../node.ts';
import { checkEntry, idField, placeOf, textField, textsField } from './check-entry.ts';
import { type FileSource, readJsonEntries } from './file-source.ts';
import type { JsonEntry } from './json-entries.ts';

const folder = mkdtempSync(join(tmpdir(), 'file-source-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A source that says when it was closed. */
function source(...pieces: (string | Uint8Array)[]): FileSource & { isClosed: boolean } {
  const one = {
    name: 'a.json',
    isClosed: false,
    async *read() {
      try {
        for (const piece of pieces) yield typeof piece === 'string' ? new TextEncoder().encode(piece) : piece;
      } finally {
        one.isClosed = true;
      }
    },
  };
  return one;
}

async function entriesOf(from: FileSource): Promise<JsonEntry[]> {
  const entries: JsonEntry[] = [];
  await readJsonEntries(from, (entry) => entries.push(entry));
  return entries;
}

describe('readJsonEntries', () => {
  it('reads a file of the disk, twice, and a file of a page', async () => {
    const path = join(folder, 'list.json');
    writeFileSync(path, '\ufeff[{"a": "é"}, 2]');
    const expected = [
      { key: undefined, index: 0, value: { a: 'é' } },
      { key: undefined, index: 1, value: 2 },
    ];
    const onDisk = fileSource(path);
    expect(await entriesOf(onDisk)).toEqual(expected);
    expect(await entriesOf(onDisk)).toEqual(expected);
    const file = new Blob(['[{"a": "é"}, 2]']);
    expect(await entriesOf({ name: 'list.json', read: () => file.stream() })).toEqual(expected);
  });

  it('names the file and the entry, and closes the source', async () => {
    const utf16 = new Uint8Array([0xff, 0xfe, 0x5b, 0x00]);
    const cases = [
      source('[1, {"a": "', Uint8Array.of(0xc3, 0x28), '"}]'),
      source(utf16),
      source('[1, {"a": 2'),
      source('[NaN]'),
    ];
    const errors = await Promise.all(cases.map((one) => entriesOf(one).catch((error: unknown) => error)));
    expect(errors.every(DatasetError.isInstance)).toBe(true);
    expect(cases.every(({ isClosed }) => isClosed)).toBe(true);
    expect((errors as DatasetError[]).map(({ message }) => message).join('\n')).toMatchInlineSnapshot(`
      "a.json: is not UTF-8 (entry 1). Expected JSON in UTF-8. Save it in that encoding.
      a.json: is not UTF-8 (at its beginning). Expected JSON in UTF-8. Save it in that encoding.
      a.json: ends in the middle (entry 1). Expected complete JSON. Download or copy it again.
      a.json: has NaN, which JSON does not know (entry 0). Expected a number, a text or null. Correct the program that wrote it: Python writes such words unless it is told not to."
    `);
  });

  it('what the caller throws ends the reading and comes out as it is', async () => {
    const one = source('[1, 2', ', 3]');
    const problem = new Error('enough');
    await expect(
      readJsonEntries(one, ({ value }) => {
        if (value === 1) throw problem;
      }),
    ).rejects.toBe(problem);
    expect(one.isClosed).toBe(true);
  });

  it('stops when it is told to, with the reason given', async () => {
    const controller = new AbortController();
    const reason = new Error('changed my mind');
    const one = source('[1, 2', ', 3]');
    const seen: unknown[] = [];
    const reading = readJsonEntries(one, ({ value }) => (seen.push(value), controller.abort(reason)), {
      abortSignal: controller.signal,
    });
    await expect(reading).rejects.toBe(reason);
    expect([seen, one.isClosed]).toEqual([[1], true]);
    await expect(readJsonEntries(source('[]'), () => undefined, { abortSignal: controller.signal })).rejects.toBe(reason);
  });

  it('says what is wrong with a path', async () => {
    const paths = [join(folder, 'none.json'), folder, join(folder, 'list.json', 'x')];
    const messages = await Promise.all(
      paths.map((path) => entriesOf(fileSource(path)).catch((error: Error) => error.message.replaceAll(folder, 'FOLDER'))),
    );
    expect(messages.join('\n')).toMatchInlineSnapshot(`
      "FOLDER/none.json: cannot be read: there is no such file. Check the path.
      FOLDER: cannot be read: it is a folder. Pass the path of a file.
      FOLDER/list.json/x: cannot be read: a part of the path is a file, not a folder. Check the path."
    `);
  });
});

describe('checkEntry', () => {
  const schema = z.object({ id: idField, caption: textField, answers: z.optional(textsField) }, 'expected { id, caption }');
  const check = (value: unknown): unknown => {
    try {
      return checkEntry(schema, value, 'a.json', placeOf({ key: 'annotations', index: 3, value }));
    } catch (error) {
      return (error as Error).message;
    }
  };

  it('gives the fields that are asked for', () => {
    expect(check({ id: 5, caption: '', more: 1, answers: 'a' })).toEqual({ id: 5, caption: '', answers: ['a'] });
  });

  it('names file, entry, field, what it is and what was expected', () => {
    const wrong = [
      { id: 5, caption: 7 },
      { id: 1.5, caption: '' },
      { id: Number.POSITIVE_INFINITY, caption: '' },
      { id: '', caption: '' },
      { id: 2 },
      { id: 3, caption: '', answers: ['a', 4] },
      ['a'.repeat(90)],
    ];
    expect(wrong.map(check).join('\n')).toMatchInlineSnapshot(`
      "a.json: entry 3 of 'annotations': caption is 7, expected a text. Check that the file is the one you mean, or correct it.
      a.json: entry 3 of 'annotations': id is 1.5, expected an id. Check that the file is the one you mean, or correct it.
      a.json: entry 3 of 'annotations': id is Infinity, expected an id. Check that the file is the one you mean, or correct it.
      a.json: entry 3 of 'annotations': id is "", expected an id. Check that the file is the one you mean, or correct it.
      a.json: entry 3 of 'annotations': caption is missing, expected a text. Check that the file is the one you mean, or correct it.
      a.json: entry 3 of 'annotations': answers is ["a",4], expected a text or a list of texts. Check that the file is the one you mean, or correct it.
      a.json: entry 3 of 'annotations': is ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…, expected { id, caption }. Check that the file is the one you mean, or correct it."
    `);
  });
});
