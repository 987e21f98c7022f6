import { execFileSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { DatasetError, InputError } from '@blip2/core';
import fc from 'fast-check';
import { packTar, type TarEntry } from 'modern-tar';
import { describe, expect, it } from 'vitest';
import { problemOf, temporaryFolder, type TemporaryFolder } from '../__fixtures__/temporary-folder.ts';
import type { DatasetRecord } from '../records/record.ts';
import type { RecordStream } from '../streams/record-stream.ts';
import { expandShards } from './shard-names.ts';
import { streamWebDataset, type WebDatasetOptions } from './stream-web-dataset.ts';

/** A tar file of members with these contents, in order. */
async function tarOf(members: readonly (readonly [name: string, content: string])[]): Promise<Uint8Array> {
  const entries = members.map(([name, content]): TarEntry => {
    const body = new TextEncoder().encode(content);
    return name.endsWith('/') ? { header: { name, size: 0, type: 'directory' } } : { header: { name, size: body.length }, body };
  });
  return packTar(entries);
}

const once = { shuffle: false, epochs: 1 } as const;

/** Keys with captions, or messages of broken rows. */
async function rowsOf(stream: RecordStream, folder?: TemporaryFolder, limit = 1000): Promise<unknown[]> {
  const rows: unknown[] = [];
  while (rows.length < limit) {
    try {
      const row = await stream.next();
      if (row === undefined) break;
      rows.push([row.key, ...(row.captions ?? [])]);
    } catch (error) {
      if (!DatasetError.isInstance(error)) throw error;
      rows.push(error.message.replaceAll(folder === undefined ? '' : `${folder.path}/`, ''));
    }
  }
  return rows;
}

it('reads samples: endings in any case, folders, other members between them', async () => {
  const folder = await temporaryFolder();
  const json = { captions: ['a dog', 'two dogs'], url: 'x', width: 5 };
  const question = { question: 'who?', question_id: 7, answers: ['rex', 'rex', 'dog'], caption: 'the dog' };
  const bytes = await tarOf([
    ['part/', ''],
    ['part/000.JPG', 'picture 0'],
    ['part/000.txt', ' a web caption\n'],
    ['part/000.json', JSON.stringify(json)],
    ['.hidden', 'x'],
    ['./part/000.cls', '7'],
    ['README', 'x'],
    ['part/001.caption', 'a cat'],
    ['part/001.cls', '5'],
    ['part/001.webp', 'picture 1'],
    ['part.v2/002.png', 'picture 2'],
    ['part.v2/002.json', JSON.stringify(question)],
    ['003.jpeg', 'picture 3'],
  ]);
  for (const [name, content] of [
    ['plain.tar', bytes],
    ['small.tar.gz', gzipSync(bytes)],
    ['gzip-by-its-bytes.tar', gzipSync(bytes)],
  ] as const) {
    const stream = await streamWebDataset(await folder.write(name, content), { ...once, name: 'web' });
    const records: DatasetRecord[] = [];
    for await (const record of stream) records.push(record);
    // `toEqual` passes over what is undefined.
    expect(records.map((record) => ({ ...record, readImage: undefined }))).toEqual([
      { key: `web:${name}/part/000`, imageKey: `web:${name}/part/000`, imageId: 'part/000', captions: ['a dog', 'two dogs'] },
      { key: `web:${name}/part/001`, imageKey: `web:${name}/part/001`, imageId: 'part/001', captions: ['a cat'] },
      {
        key: `web:${name}/part.v2/002`,
        imageKey: `web:${name}/part.v2/002`,
        imageId: 'part.v2/002',
        captions: ['the dog'],
        question: {
          id: 7,
          text: 'who?',
          answers: [
            { answer: 'rex', weight: 2 / 3 },
            { answer: 'dog', weight: 1 / 3 },
          ],
        },
      },
      { key: `web:${name}/003`, imageKey: `web:${name}/003`, imageId: '003' },
    ]);
    const images = await Promise.all(records.map(async (record) => new TextDecoder().decode(await record.readImage())));
    expect(images).toEqual(['picture 0', 'picture 1', 'picture 2', 'picture 3']);
  }
});

it("reads what the system's tar writes, long names included", async () => {
  const folder = await temporaryFolder();
  const key = `${'long-name-'.repeat(9)}/${'x'.repeat(120)}`;
  await mkdir(join(folder.path, key, '..'), { recursive: true });
  await writeFile(join(folder.path, `${key}.jpg`), 'picture');
  await writeFile(join(folder.path, `${key}.txt`), 'a caption');
  execFileSync('tar', ['-cf', 'shard.tar', `${key}.jpg`, `${key}.txt`], { cwd: folder.path });
  const stream = await streamWebDataset(join(folder.path, 'shard.tar'), { ...once, name: 'web' });
  expect(await rowsOf(stream)).toEqual([[`web:shard.tar/${key}`, 'a caption']]);
});

it('goes on after a position as it would have gone on, whatever is broken', async () => {
  const folder = await temporaryFolder();
  let files = 0;
  const member = fc.constantFrom('jpg', 'txt', 'json', 'png');
  const sample = fc.uniqueArray(member, { minLength: 1, maxLength: 3 });
  const shard = fc.record({
    samples: fc.array(sample, { maxLength: 6 }),
    gzip: fc.boolean(),
    cut: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
  });
  const options = fc.record({
    seed: fc.integer(),
    shuffle: fc.boolean(),
    bufferRows: fc.integer({ min: 1, max: 8 }),
    epochs: fc.constant(2),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(shard, { minLength: 1, maxLength: 3 }),
      options,
      fc.integer({ min: 0, max: 20 }),
      async (shards, run, taken) => {
        const paths: string[] = [];
        for (const { samples, gzip, cut } of shards) {
          const members = samples.flatMap((endings, index) => {
            return endings.map((ending): [string, string] => [
              `${index}.${ending}`,
              ending === 'json' ? '{"caption": "c"}' : 'x',
            ]);
          });
          const bytes = gzip ? gzipSync(await tarOf(members)) : await tarOf(members);
          const kept = cut === null ? bytes : bytes.subarray(0, Math.floor(cut * bytes.length));
          paths.push(await folder.write(`${files++}.tar`, kept));
        }
        const make = (): Promise<RecordStream> => streamWebDataset(paths, run);
        const all = await rowsOf(await make(), folder);
        const stream = await make();
        expect(await rowsOf(stream, folder, taken)).toEqual(all.slice(0, taken));
        const position = JSON.parse(JSON.stringify(stream.position())) as ReturnType<RecordStream['position']>;
        await stream.close();
        const resumed = await make();
        await resumed.seek(position);
        expect(await rowsOf(resumed, folder)).toEqual(all.slice(taken));
      },
    ),
    { numRuns: 40 },
  );
});

describe('what is broken', () => {
  const good: [string, string][] = [
    ['0.jpg', 'picture'],
    ['0.txt', 'a caption'],
  ];
  const last: [string, string][] = [
    ['9.jpg', 'picture'],
    ['9.txt', 'the last'],
  ];

  it('is a broken row between others', async () => {
    const folder = await temporaryFolder();
    const bytes = await tarOf([
      ...good,
      ['1.txt', 'no image'],
      ['2.jpg', 'x'],
      ['2.json', '{'],
      ['3.jpg', 'x'],
      ['3.json', '{"caption": 5}'],
      ['4.jpg', 'x'],
      ['4.jpg', 'y'],
      ['5.jpg', 'x'],
      ['5.json', '5'],
      ...last,
    ]);
    const stream = await streamWebDataset(await folder.write('a.tar', bytes), { ...once, name: 'web' });
    expect(await rowsOf(stream, folder)).toMatchInlineSnapshot(`
      [
        [
          "web:a.tar/0",
          "a caption",
        ],
        "a.tar: sample '1': has .txt and no image, expected one of .jpg .jpeg .png .webp .avif .gif. Write the shard with its images.",
        "a.tar: sample '2': its .json is broken, expected an object. Write the shard again.",
        "a.tar: sample '3': caption is 5, expected a text or a list of texts. Check that the file is the one you mean, or correct it.",
        "a.tar: '4.jpg' comes twice in a row, expected one member of each ending. Write the shard again.",
        "a.tar: sample '5': is 5, expected an object. Check that the file is the one you mean, or correct it.",
        [
          "web:a.tar/9",
          "the last",
        ],
      ]
    `);
    const notText = Buffer.from(await tarOf([['0.jpg', 'x'], ['0.txt', 'ÿÿ']])); // prettier-ignore
    const at = notText.indexOf(Buffer.from('ÿÿ'));
    notText[at] = 0xff;
    const second = await streamWebDataset(await folder.write('b.tar', notText), once);
    expect(await rowsOf(second, folder)).toMatchInlineSnapshot(`
      [
        "b.tar: sample '0': has a text that is not UTF-8. Write the shard again.",
      ]
    `);
  });

  it('ends a shard, and the next one is read', async () => {
    const folder = await temporaryFolder();
    const whole = await tarOf([...good, ['1.jpg', 'x'.repeat(2000)], ...last]);
    const damaged = Uint8Array.from(whole);
    damaged.fill(0x5a, 2048, 2100); // the header of the third member
    const contents = { cut: whole.subarray(0, 3000), damaged, page: '<!DOCTYPE html>'.repeat(100), empty: '' };
    const seen: Record<string, unknown> = {};
    for (const [name, content] of Object.entries(contents)) {
      for (const [ending, bytes] of [
        ['tar', content],
        ['tar.gz', gzipSync(content)],
      ] as const) {
        const file = `${name}.${ending}`;
        const paths = [await folder.write(file, bytes), await folder.write('next.tar', await tarOf(last))];
        seen[file] = await rowsOf(await streamWebDataset(paths, { ...once, name: 'web' }), folder);
      }
    }
    const cutGzip = gzipSync(whole).subarray(0, -20);
    seen['gzip that is cut'] = await rowsOf(
      await streamWebDataset(await folder.write('c.tar.gz', cutGzip), { ...once, name: 'web' }),
      folder,
    );
    expect(seen).toMatchInlineSnapshot(`
      {
        "cut.tar": [
          [
            "web:cut.tar/0",
            "a caption",
          ],
          "cut.tar: is no complete tar file: Tar archive is truncated. Download or copy it again.",
          [
            "web:next.tar/9",
            "the last",
          ],
        ],
        "cut.tar.gz": [
          [
            "web:cut.tar.gz/0",
            "a caption",
          ],
          "cut.tar.gz: is no complete tar file: Tar archive is truncated. Download or copy it again.",
          [
            "web:next.tar/9",
            "the last",
          ],
        ],
        "damaged.tar": [
          "damaged.tar: is no complete tar file: Invalid tar header checksum. Download or copy it again.",
          [
            "web:next.tar/9",
            "the last",
          ],
        ],
        "damaged.tar.gz": [
          "damaged.tar.gz: is no complete tar file: Invalid tar header checksum. Download or copy it again.",
          [
            "web:next.tar/9",
            "the last",
          ],
        ],
        "empty.tar": [
          "empty.tar: is no complete tar file: Tar archive is truncated. Download or copy it again.",
          [
            "web:next.tar/9",
            "the last",
          ],
        ],
        "empty.tar.gz": [
          "empty.tar.gz: is no complete tar file: Tar archive is truncated. Download or copy it again.",
          [
            "web:next.tar/9",
            "the last",
          ],
        ],
        "gzip that is cut": [
          [
            "web:c.tar.gz/0",
            "a caption",
          ],
          [
            "web:c.tar.gz/1",
          ],
          "c.tar.gz: is no complete tar file: it breaks off. Download or copy it again.",
        ],
        "page.tar": [
          "page.tar: is no complete tar file: Invalid tar number. Download or copy it again.",
          [
            "web:next.tar/9",
            "the last",
          ],
        ],
        "page.tar.gz": [
          "page.tar.gz: is no complete tar file: Invalid tar number. Download or copy it again.",
          [
            "web:next.tar/9",
            "the last",
          ],
        ],
      }
    `);
  });

  it('a shard that is gone when its turn comes is a broken row', async () => {
    const folder = await temporaryFolder();
    const paths = [await folder.write('a.tar', await tarOf(good)), await folder.write('b.tar', await tarOf(last))];
    const stream = await streamWebDataset(paths, { ...once, name: 'web' });
    await rm(paths[0]!);
    expect(await rowsOf(stream, folder)).toEqual([
      'a.tar: cannot be read: there is no such file. Check the path.',
      ['web:b.tar/9', 'the last'],
    ]);
  });

  it('is refused at once where shards are missing', async () => {
    const folder = await temporaryFolder();
    await folder.write('00.tar', await tarOf(good));
    const open = (pattern: string): Promise<string> => problemOf(streamWebDataset(join(folder.path, pattern)), folder);
    expect([await open('{00..01}.tar'), await open('.')]).toMatchInlineSnapshot(`
      [
        "01.tar: cannot be read: there is no such file. Check the path.",
        "FOLDER: is no file, expected a tar file. Pass the shards themselves, or a pattern such as '{0..9}.tar'.",
      ]
    `);
  });

  it('an abort is heard, and no row is lost', async () => {
    const folder = await temporaryFolder();
    const options: WebDatasetOptions = { ...once, name: 'web' };
    const stream = await streamWebDataset(await folder.write('a.tar', await tarOf([...good, ...last])), options);
    await stream.next();
    const reason = new Error('enough');
    await expect(stream.next({ abortSignal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const record = (await stream.next())!;
    expect(record.captions).toEqual(['the last']);
    await expect(record.readImage({ abortSignal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe('names of shards', () => {
  it('are expanded', () => {
    expect(expandShards('cc3m/{00008..00011}.tar')).toEqual([
      'cc3m/00008.tar',
      'cc3m/00009.tar',
      'cc3m/00010.tar',
      'cc3m/00011.tar',
    ]);
    expect(expandShards(['{a,b}-{1..2}.tar', 'plain.tar'])).toEqual(['a-1.tar', 'a-2.tar', 'b-1.tar', 'b-2.tar', 'plain.tar']);
  });

  it('are limited in number, and each comes once', () => {
    const refused = ['{0..999999999}.tar', ['a.tar', '{a,b}.tar'], []].map((names) => {
      try {
        return expandShards(names);
      } catch (error) {
        return InputError.isInstance(error) ? error.message : error;
      }
    });
    expect(refused).toMatchInlineSnapshot(`
      [
        "expandShards: '{0..999999999}.tar' names more than 100000 shards, expected fewer. Check the ranges.",
        "expandShards: the shard 'a.tar' comes twice, expected each once. Check the patterns.",
        "expandShards: got no names, expected at least one. Pass a pattern.",
      ]
    `);
  });
});
