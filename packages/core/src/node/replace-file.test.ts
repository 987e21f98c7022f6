import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { InputError } from '../errors.ts';
import { replaceFile } from './replace-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'replace-file-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('writes all pieces, of any size, in the place of an earlier file', async () => {
  const path = join(folder, 'a.txt');
  writeFileSync(path, 'earlier');
  const long = 'é'.repeat(700_000);
  await replaceFile(path, ['a', long, long, 'z']);
  expect(readFileSync(path, 'utf8')).toBe(`a${long}${long}z`);
  await replaceFile(path, []);
  expect(readFileSync(path, 'utf8')).toBe('');
  expect(readdirSync(folder)).toEqual(['a.txt']);
});

it('leaves the earlier file, and nothing else, when the content fails', async () => {
  const path = join(folder, 'a.txt');
  writeFileSync(path, 'earlier');
  const problem = new Error('no more');
  const texts = function* (): Generator<string> {
    yield 'x'.repeat(3_000_000);
    throw problem;
  };
  await expect(replaceFile(path, texts())).rejects.toBe(problem);
  expect([readFileSync(path, 'utf8'), readdirSync(folder)]).toEqual(['earlier', ['a.txt']]);
});

it('says why a file cannot be written, and leaves nothing', async () => {
  mkdirSync(join(folder, 'b'));
  const paths = ['none/a.txt', 'a.txt/a.txt', 'b'];
  const errors = await Promise.all(paths.map((path) => replaceFile(join(folder, path), ['x']).catch((error: unknown) => error)));
  expect(errors.every(InputError.isInstance)).toBe(true);
  expect(errors.map((error) => (error as Error).message.replaceAll(folder, 'FOLDER')).join('\n')).toMatchInlineSnapshot(`
    "FOLDER/none/a.txt: cannot be written: its folder is not there. Make it, or name another one.
    FOLDER/a.txt/a.txt: cannot be written: a part of the path is a file, not a folder. Check the path.
    FOLDER/b: cannot be written: it is a folder. Pass the path of a file."
  `);
  expect([readdirSync(folder), existsSync(join(folder, 'none'))]).toEqual([['a.txt', 'b'], false]);
});
