import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError, ConfigError } from '@blip2/core';
import { beforeEach, describe, expect, it } from 'vitest';
import { createFeatureStore } from './create-feature-store.ts';
import { failure, naiveRead, SMALL, useFolders } from './feature-store-test-support.ts';
import { openFeatureStore } from './open-feature-store.ts';

const newFolder = useFolders();
let folder: string;

beforeEach(async () => {
  folder = newFolder();
  await using store = await createFeatureStore(folder, SMALL);
  await store.append(['a', 'b', 'c', 'd'], naiveRead(['a', 'b', 'c', 'd'], SMALL));
});

function path(name: string): string {
  return join(folder, name);
}

function edit(name: string, change: (text: string) => string): void {
  writeFileSync(path(name), change(readFileSync(path(name), 'utf8')));
}

/** The message that work ends with, without what differs from run to run. */
async function messageOf(
  work: Promise<unknown>,
  kind: typeof CheckpointError | typeof ConfigError = CheckpointError,
): Promise<string> {
  const error = await failure(work);
  expect(error).toBeInstanceOf(kind);
  return error.message.replaceAll(folder, 'FOLDER').replaceAll(/[0-9a-f]{64}/g, 'HASH');
}

function damage(name: string, offset: number): void {
  const bytes = readFileSync(path(name));
  bytes[offset < 0 ? bytes.length + offset : offset]! ^= 0x10;
  writeFileSync(path(name), bytes);
}

describe('features of something else', () => {
  it('another identity', async () => {
    const identity = { encoder: 'vit', weights: 'def', size: 224 };
    expect(await messageOf(openFeatureStore(folder, { identity }), ConfigError)).toMatchInlineSnapshot(
      `"FOLDER: the features were made with identity.weights "abc", expected "def". Pass the identity of the features in the folder, or write the ones you expect into another folder."`,
    );
    expect(await messageOf(createFeatureStore(folder, { ...SMALL, identity }), ConfigError)).toMatchInlineSnapshot(
      `"FOLDER: the features were made with identity.weights "abc", expected "def". Choose another folder, or pass what the store was made with."`,
    );
  });

  it('a field more or fewer', async () => {
    const { size: _, ...fewer } = SMALL.identity as { size: number; encoder: string; weights: string };
    expect(await messageOf(openFeatureStore(folder, { identity: fewer }), ConfigError)).toContain(
      'identity.size 224, expected missing',
    );
    const more = { ...fewer, size: 224, pixels: [1, 2] };
    expect(await messageOf(openFeatureStore(folder, { identity: more }), ConfigError)).toContain(
      'identity.pixels missing, expected [1,2]',
    );
  });

  it('no store at all', async () => {
    expect(await messageOf(openFeatureStore(path('nowhere')))).toMatchInlineSnapshot(
      `"FOLDER/nowhere: found no store.json, expected a folder written by createFeatureStore. Check the path."`,
    );
  });

  it('keys that are not there', async () => {
    using store = await openFeatureStore(folder);
    const error = await failure(store.read(['a', 'x', 'y']));
    expect(error.message.replaceAll(folder, 'FOLDER')).toMatchInlineSnapshot(
      `"read: FOLDER has no features of "x", "y", expected keys among its 4. Ask has(key) first, or write the missing ones."`,
    );
  });
});

describe('a damaged shard', () => {
  it('is found by verify, by its hash', async () => {
    damage('features-00002.safetensors', -1);
    using store = await openFeatureStore(folder);
    expect(await messageOf(store.verify())).toMatchInlineSnapshot(
      `"FOLDER: 1 of 2 shards are damaged: FOLDER/features-00002.safetensors has sha256 HASH, expected HASH. Fetch them again, or delete each with its index (.json) and write the features again: only their rows are made anew."`,
    );
  });

  it('whose header is damaged is found when it is read', async () => {
    damage('features-00001.safetensors', 9);
    using store = await openFeatureStore(folder);
    expect(await messageOf(store.read(['b']))).toMatchInlineSnapshot(
      `"FOLDER/features-00001.safetensors: not a valid safetensors file: the header is broken JSON: found '2__metadata_' at line 1, column 2, expected a quoted key or '}'. The file is damaged or was not copied to its end; fetch it again."`,
    );
    expect(await store.read(['c'])).toEqual(naiveRead(['c'], SMALL));
    expect(await messageOf(store.verify())).toContain('1 of 2 shards are damaged');
    damage('features-00001.safetensors', 9); // back again
    expect(await store.read(['b'])).toEqual(naiveRead(['b'], SMALL));
    await store.verify();
  });

  it('that was cut off is refused when the store is opened', async () => {
    truncateSync(path('features-00002.safetensors'), 200);
    expect(await messageOf(openFeatureStore(folder))).toMatchInlineSnapshot(
      `"FOLDER/features-00002.safetensors: the file has 200 bytes, expected 240 bytes with 2 rows of 24 bytes. Fetch it again, or delete FOLDER/features-00002.json and write the features again: only the rows of this shard are made anew."`,
    );
  });

  it('that was cut off while the store was open', async () => {
    using store = await openFeatureStore(folder);
    await store.read(['c']);
    truncateSync(path('features-00002.safetensors'), 200);
    expect(await messageOf(store.read(['d']))).toContain('The file changed or was cut off while it was open');
  });

  it('that is missing', async () => {
    rmSync(path('features-00001.safetensors'));
    expect(await messageOf(openFeatureStore(folder))).toMatchInlineSnapshot(
      `"FOLDER/features-00001.safetensors: the file is missing, expected 240 bytes with 2 rows of 24 bytes. Fetch it again, or delete FOLDER/features-00001.json and write the features again: only the rows of this shard are made anew."`,
    );
  });

  it('deleted with its index is written again, the others are kept', async () => {
    rmSync(path('features-00001.safetensors'));
    rmSync(path('features-00001.json'));
    await using store = await createFeatureStore(folder, SMALL);
    expect(['a', 'b', 'c', 'd'].map((key) => store.has(key))).toEqual([false, false, true, true]);
    await store.append(['a', 'b'], naiveRead(['a', 'b'], SMALL));
    using reader = await openFeatureStore(folder);
    expect(await reader.read(['a', 'c'])).toEqual(naiveRead(['a', 'c'], SMALL));
  });
});

describe('a damaged index', () => {
  it('that was cut off', async () => {
    edit('features-00002.json', (text) => text.slice(0, 40));
    expect(await messageOf(openFeatureStore(folder))).toMatchInlineSnapshot(
      `"FOLDER/features-00002.json: found 40 characters that are not JSON, expected a whole JSON file. Delete it and write the features again: only the rows of this shard are made anew."`,
    );
  });

  it.each([
    ['rows', (text: string) => text.replace('"rows":2', '"rows":3')],
    ['sha256', (text: string) => text.replace(/"sha256":"../, '"sha256":"')],
    ['keys', (text: string) => text.replace('"d"', '"c"')],
  ])('whose %s are wrong', async (_, change) => {
    edit('features-00002.json', change);
    expect(await messageOf(openFeatureStore(folder))).toMatch(
      /features-00002\.json: the field (keys|sha256) is missing or wrong/,
    );
  });

  it('whose keys were changed is found by verify', async () => {
    edit('features-00002.json', (text) => text.replace('"d"', '"e"'));
    using store = await openFeatureStore(folder);
    expect(await messageOf(store.verify())).toContain('has other keys than the shard was written with');
  });

  it('with a key of another shard', async () => {
    edit('features-00002.json', (text) => text.replace('"d"', '"a"'));
    expect(await messageOf(openFeatureStore(folder))).toMatchInlineSnapshot(
      `"FOLDER: the key "a" is in two shards, expected each key once. Delete one of the shards with its index."`,
    );
  });

  it('of another store', async () => {
    edit('features-00002.json', (text) => text.replace(/"store":"\w+"/, '"store":"x"'));
    expect(await messageOf(openFeatureStore(folder))).toMatchInlineSnapshot(
      `"FOLDER/features-00002.json: the shard belongs to a store with another description, expected the one of store.json beside it. Move the shard and its index back to where they came from."`,
    );
  });
});

describe('a damaged description', () => {
  it.each([
    [
      'later version',
      (text: string) => text.replace('"version": 1', '"version": 2'),
      'the store has format version 2, expected 1',
    ],
    ['no width', (text: string) => text.replace('"width"', '"length"'), 'the field width is missing or wrong'],
    ['no object', () => '[]', 'this is no description of features'],
    ['cut off', (text: string) => text.slice(0, 9), 'found 9 characters that are not JSON'],
  ])('%s', async (_, change, message) => {
    edit('store.json', change);
    expect(await messageOf(openFeatureStore(folder))).toContain(message);
    expect(await messageOf(createFeatureStore(folder, SMALL))).toContain(message);
  });
});
