import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { createFeatureStore } from './create-feature-store.ts';
import { featuresOf, naiveRead, SMALL, useFolders } from './feature-store-test-support.ts';
import { openFeatureStore } from './open-feature-store.ts';

const newFolder = useFolders();
/** 256 KiB a row, 1 MiB a shard: a kill finds writing under way. */
const OPTIONS = { ...SMALL, tokens: 64, width: 1024, dtype: 'F32', rowsPerShard: 4 } as const;
const ROWS = 60;

/** Another process that writes what is missing. It says each row before it appends it. */
function writeInChild(folder: string, killAtRow: number): Promise<string | number | null> {
  const entry = pathToFileURL(join(import.meta.dirname, 'create-feature-store.ts')).href;
  const script = `
    const { createFeatureStore } = await import(${JSON.stringify(entry)});
    const { writeSync } = await import('node:fs');
    const options = ${JSON.stringify(OPTIONS)};
    const store = await createFeatureStore(${JSON.stringify(folder)}, options);
    const featuresOf = ${featuresOf.toString()};
    for (let row = 0; row < ${ROWS}; row++) {
      if (store.has('row ' + row)) continue;
      writeSync(1, row + '\\n');
      await store.append('row ' + row, featuresOf('row ' + row, options));
    }
    await store.close();`;
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += String(chunk);
    if (output.split('\n').some((line) => line !== '' && Number(line) >= killAtRow)) child.kill('SIGKILL');
  });
  return new Promise((resolve) => {
    child.on('close', (code, signal) => resolve(signal ?? code));
  });
}

it('killed at any moment, it keeps every complete shard and goes on after it', async () => {
  const folder = newFolder();
  let complete = 0;
  for (const killAtRow of [5, 7, 16, 27, 39]) {
    expect(await writeInChild(folder, killAtRow)).toBe('SIGKILL');
    using reader = await openFeatureStore(folder);
    await reader.verify();
    expect(reader.size % OPTIONS.rowsPerShard).toBe(0);
    expect(reader.size).toBeGreaterThanOrEqual(Math.max(complete, killAtRow - OPTIONS.rowsPerShard));
    complete = reader.size;
    expect(reader.keys).toEqual(Array.from({ length: complete }, (_, row) => `row ${row}`));
    const some = reader.keys.slice(-5);
    expect(Buffer.from((await reader.read(some)).buffer).equals(Buffer.from(naiveRead(some, OPTIONS).buffer))).toBe(true);
  }
  expect(await writeInChild(folder, ROWS)).toBe(0);
  using reader = await openFeatureStore(folder);
  await reader.verify();
  expect(reader.size).toBe(ROWS);
  expect(Buffer.from((await reader.read(reader.keys)).buffer).equals(Buffer.from(naiveRead(reader.keys, OPTIONS).buffer))).toBe(
    true,
  );
  expect(readdirSync(folder).toSorted().slice(0, 2)).toEqual(['features-00001.json', 'features-00001.safetensors']); // no lock, nothing temporary
});

it('a shard that has no index yet does not exist, and is written again', async () => {
  const folder = newFolder();
  const first = await createFeatureStore(folder, SMALL);
  await first.append(['a', 'b'], naiveRead(['a', 'b'], SMALL));
  await first.close();
  const orphan = join(folder, 'features-00002.safetensors');
  const temporary = ['.features-00003.safetensors.0123abcd.tmp', '.features-00002.json.0123abcd.tmp'].map((name) =>
    join(folder, name),
  );
  for (const path of [orphan, ...temporary])
    writeFileSync(path, readFileSync(join(folder, 'features-00001.safetensors')).subarray(0, 50));
  writeFileSync(join(folder, 'notes.txt'), 'not ours');

  using before = await openFeatureStore(folder);
  expect(before.keys).toEqual(['a', 'b']);
  await before.verify();
  expect(existsSync(orphan)).toBe(true); // a reader removes nothing

  await using second = await createFeatureStore(folder, SMALL);
  expect([orphan, ...temporary].filter((path) => existsSync(path))).toEqual([]);
  expect(existsSync(join(folder, 'notes.txt'))).toBe(true);
  await second.append(['c', 'd'], Float32Array.of(...featuresOf('c', SMALL), ...featuresOf('d', SMALL)));
  using after = await openFeatureStore(folder);
  expect(await after.read(['d', 'a'])).toEqual(naiveRead(['d', 'a'], SMALL));
});

it('takes over the lock of a process that is gone', async () => {
  const folder = newFolder();
  expect(await writeInChild(folder, 1)).toBe('SIGKILL');
  expect(existsSync(join(folder, '.lock'))).toBe(true);
  await (await createFeatureStore(folder, OPTIONS)).close();
  expect(existsSync(join(folder, '.lock'))).toBe(false);
});
