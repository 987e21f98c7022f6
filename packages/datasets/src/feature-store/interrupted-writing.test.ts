import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { createFeatureStore } from './create-feature-store.ts';
import { featuresOf, naiveRead, SMALL, useFolders } from './feature-store-test-support.ts';
import { openFeatureStore } from './open-feature-store.ts';

const newFolder = useFolders();
/** 256 KiB a row, 1 MiB a shard: a kill finds writing under way. */
const OPTIONS = { ...SMALL, tokens: 64, width: 1024, dtype: 'F32', rowsPerShard: 4 } as const;
const ROWS = 48;

/**
 * Another process that writes what is missing, killed as soon as a file of that name comes into the folder.
 * @returns what it ended with: a signal, or its exit code.
 */
function writeInChild(folder: string, killAt?: RegExp): Promise<string | number | null> {
  const entry = pathToFileURL(join(import.meta.dirname, 'create-feature-store.ts')).href;
  const script = `
    const { createFeatureStore } = await import(${JSON.stringify(entry)});
    const options = ${JSON.stringify(OPTIONS)};
    const store = await createFeatureStore(${JSON.stringify(folder)}, options);
    const featuresOf = ${featuresOf.toString()};
    for (let row = 0; row < ${ROWS}; row++) {
      if (store.has('row ' + row)) continue;
      await store.append('row ' + row, featuresOf('row ' + row, options));
    }
    await store.close();`;
  mkdirSync(folder, { recursive: true });
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '--eval', script], { stdio: 'inherit' });
  const watcher = watch(folder, (_, name) => {
    if (name !== null && killAt?.test(name)) child.kill('SIGKILL');
  });
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      watcher.close();
      resolve(signal ?? code);
    });
  });
}

function expectRows(found: Float32Array, keys: readonly string[]): void {
  expect(Buffer.from(found.buffer).equals(Buffer.from(naiveRead(keys, OPTIONS).buffer))).toBe(true);
}

it('killed at any moment, it keeps every complete shard and goes on after it', async () => {
  const folder = newFolder();
  for (const [killAt, complete] of [
    [/^\.features-00002\.safetensors\..*tmp$/, 1], // a shard is being written
    [/^features-00004\.safetensors$/, 3], // it has its name, its index is not there
    [/^\.features-00006\.json\..*tmp$/, 5], // the index is being written
  ] as const) {
    expect(await writeInChild(folder, killAt)).toBe('SIGKILL');
    using reader = await openFeatureStore(folder);
    await reader.verify();
    // The signal may take a moment to arrive.
    expect(reader.shardCount).toBeGreaterThanOrEqual(complete);
    expect(reader.keys).toEqual(Array.from({ length: reader.shardCount * OPTIONS.rowsPerShard }, (_, row) => `row ${row}`));
    const some = reader.keys.slice(-5);
    expectRows(await reader.read(some), some);
  }
  expect(await writeInChild(folder)).toBe(0);
  using reader = await openFeatureStore(folder);
  await reader.verify();
  expect(reader.size).toBe(ROWS);
  expectRows(await reader.read(reader.keys), reader.keys);
  const shardFiles = readdirSync(folder).filter((name) => /^features-\d{5}\.(json|safetensors)$/.test(name));
  expect(readdirSync(folder)).toEqual([...shardFiles, 'store.json']); // no lock, nothing temporary
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
  expect(await writeInChild(folder, /^store\.json$/)).toBe('SIGKILL');
  expect(existsSync(join(folder, '.lock'))).toBe(true);
  await (await createFeatureStore(folder, OPTIONS)).close();
  expect(existsSync(join(folder, '.lock'))).toBe(false);
});
