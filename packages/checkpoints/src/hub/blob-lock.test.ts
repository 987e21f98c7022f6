import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { lockIfFree } from './blob-lock.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'blip2-lock-'));
  path = join(folder, '.lock');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('lockIfFree gives one lock at a time', async () => {
  const locks = await Promise.all([lockIfFree(path), lockIfFree(path), lockIfFree(path)]);
  const [held, ...others] = locks.filter((lock) => lock !== undefined);
  expect(others).toEqual([]);
  await held!.release();
  expect(existsSync(path)).toBe(false);
  const again = await lockIfFree(path);
  expect(again).toBeDefined();
  await again!.release();
});

it('lockIfFree takes over the lock of a process of this machine that is gone, and no other', async () => {
  const { pid } = spawnSync(process.execPath, ['--version']);
  writeFileSync(path, JSON.stringify({ process: pid, host: hostname(), id: 'gone' }));
  const lock = await lockIfFree(path);
  expect(lock).toBeDefined();
  await lock!.release();
  for (const content of [JSON.stringify({ process: pid, host: `not ${hostname()}` }), '', 'text']) {
    writeFileSync(path, content);
    expect(await lockIfFree(path), content).toBeUndefined();
  }
});
