import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { problemOf, temporaryFolder } from '../__fixtures__/temporary-folder.ts';
import { readFolder } from './folder.ts';
import { imageText, rowsOf } from './readers-test-support.ts';

describe('a folder with a table', () => {
  it('reads JSON lines', async () => {
    const folder = await temporaryFolder();
    await folder.write(
      'metadata.jsonl',
      '\uFEFF{"file_name": "rex.jpg", "text": "a dog"}\n\n{"image": "cats/tom.png", "captions": ["a cat", "tom"], "split": "val"}\r\n' +
        '{"image": "rex.jpg", "question": "who?", "answers": ["rex", "rex", "a dog"], "extra": {}}',
    );
    await folder.write('rex.jpg', 'REX');
    const dataset = await readFolder(folder.path, { name: 'pets' });
    expect(rowsOf(dataset)).toEqual([
      { key: 'pets:1', imageKey: 'pets:rex.jpg', imageId: 'rex.jpg', captions: ['a dog'] },
      { key: 'pets:3', imageKey: 'pets:cats/tom.png', imageId: 'cats/tom.png', captions: ['a cat', 'tom'], split: 'val' },
      {
        key: 'pets:4',
        imageKey: 'pets:rex.jpg',
        imageId: 'rex.jpg',
        question: {
          id: 'pets:4',
          text: 'who?',
          answers: [
            { answer: 'rex', weight: 2 / 3 },
            { answer: 'a dog', weight: 1 / 3 },
          ],
        },
      },
    ]);
    expect(await imageText(dataset.at(0))).toBe('REX');
    expect((await readFolder(folder.path, { split: 'val' })).length).toBe(1);
  });

  it('reads CSV: quotes, line breaks, lists, empty fields', async () => {
    const folder = await temporaryFolder();
    const path = await folder.write(
      'table.csv',
      '\uFEFFimage,caption,captions,question,answer\r\nrex.jpg,"a ""dog"",\nrunning",,,\r\n' +
        'tom.png,,"[""a cat"", ""tom""]",who?,tom\r\nodd.png,[sic] a cat,,,\r\n',
    );
    const dataset = await readFolder(path, { images: '/somewhere', name: 'pets' });
    expect(rowsOf(dataset)).toEqual([
      { key: 'pets:3', imageKey: 'pets:rex.jpg', imageId: 'rex.jpg', captions: ['a "dog",\nrunning'] },
      {
        key: 'pets:4',
        imageKey: 'pets:tom.png',
        imageId: 'tom.png',
        captions: ['a cat', 'tom'],
        question: { id: 'pets:4', text: 'who?', answers: [{ answer: 'tom', weight: 1 }] },
      },
      { key: 'pets:5', imageKey: 'pets:odd.png', imageId: 'odd.png', captions: ['[sic] a cat'] },
    ]);
  });
});

describe('broken rows of a table', () => {
  const refusal = (path: string, maxBrokenShare: number, folder: string): Promise<string> =>
    readFolder(path, { name: 'pets', maxBrokenShare }).then(
      () => 'nothing was refused',
      (error: Error) => error.message.replaceAll(`${folder}/`, ''),
    );
  const good = (count: number): string[] => Array.from({ length: count }, (_, index) => `{"image": "${index}.png", "text": "x"}`);

  it('are left out and reported up to a share, and end the work beyond it', async () => {
    const folder = await temporaryFolder();
    const lines = good(20);
    lines.splice(3, 0, '{"image": "a.png", "text": ');
    lines.splice(9, 0, '{"text": "no image"}');
    const path = await folder.write('captions.jsonl', lines.join('\n'));
    const problems: string[] = [];
    const onBroken = ({ message }: Error): void => void problems.push(message.replaceAll(`${folder.path}/`, ''));
    const dataset = await readFolder(path, { name: 'pets', maxBrokenShare: 0.1, onBroken });
    expect(dataset.length).toBe(20);
    expect(dataset.at(3)).toMatchObject({ key: 'pets:5', imageFiles: [join(folder.path, '3.png')] });
    expect(problems).toMatchInlineSnapshot(`
      [
        "captions.jsonl: line 4: is broken JSON, expected one object a line. Correct the line.",
        "captions.jsonl: line 10: names no image, expected one in 'image' or 'file_name'. Add it.",
      ]
    `);
    expect(await refusal(path, 0.05, folder.path)).toMatchInlineSnapshot(`
      "readFolder: pets: 2 of 22 rows are broken, expected at most 5 %. The first:
        captions.jsonl: line 4: is broken JSON, expected one object a line. Correct the line.
        captions.jsonl: line 10: names no image, expected one in 'image' or 'file_name'. Add it.
      Repair the data set, or raise maxBrokenShare."
    `);
    expect(await problemOf(readFolder(path), folder)).toMatchInlineSnapshot(
      `"captions.jsonl: line 4: is broken JSON, expected one object a line. Correct the line."`,
    );
    await folder.write('captions.jsonl', [...good(2), 'nonsense'].join('\n'));
    expect((await readFolder(path, { maxBrokenShare: 0.01 })).length).toBe(2); // one alone is borne
    await folder.write('captions.jsonl', 'nonsense');
    expect(await refusal(path, 0.5, folder.path)).toContain('1 of 1 rows are broken');
  });

  it('of CSV too, but not a quote that swallows the rest', async () => {
    const folder = await temporaryFolder();
    const path = await folder.write('table.csv', 'image,caption\na.png,one\nb.png,two,too many\nc.png,three\n');
    const problems: string[] = [];
    const options = { maxBrokenShare: 0.01, onBroken: ({ message }: Error) => problems.push(message.replace(folder.path, '')) };
    const dataset = await readFolder(path, options);
    expect(rowsOf(dataset).map(({ captions }) => captions)).toEqual([['one'], ['three']]);
    expect(problems).toMatchInlineSnapshot(`
      [
        "/table.csv: is broken CSV: Invalid Record Length: columns length is 2, got 3 on line 3. Correct the line; a quote in a quoted field is written twice.",
      ]
    `);
    const open = await folder.write('open.csv', 'image,caption\na.png,one\nb.png,"two\nc.png,three\n');
    expect(await problemOf(readFolder(open, options), folder)).toContain('Quote Not Closed');
  });
});
