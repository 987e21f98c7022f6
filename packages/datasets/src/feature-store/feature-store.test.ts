import { mkdirSync, readdirSync, readlinkSync, rmdirSync } from 'node:fs';
import { CheckpointError, DisposedError, InputError, ResourceError } from '@blip2/core';
import { openSafetensorsFile } from '@blip2/checkpoints/node';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFeatureStore, type CreateFeatureStoreOptions } from './create-feature-store.ts';
import { failure, featuresOf, naiveRead, SMALL, useFolders } from './feature-store-test-support.ts';
import { openFeatureStore } from './open-feature-store.ts';

const newFolder = useFolders();

function keysUpTo(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `image ${index}`);
}

async function write(folder: string, keys: readonly string[], options: CreateFeatureStoreOptions = SMALL): Promise<void> {
  await using store = await createFeatureStore(folder, options);
  for (const key of keys) await store.append(key, featuresOf(key, options));
}

function openFiles(folder: string): number {
  return readdirSync('/proc/self/fd').filter((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith(folder);
    } catch {
      return false; // the one that listed the folder is closed again
    }
  }).length;
}

describe('a store', () => {
  it.each(['F16', 'F32'] as const)('gives back what was appended, %s', async (dtype) => {
    const folder = newFolder();
    const options = { ...SMALL, dtype };
    const keys = keysUpTo(5);
    await write(folder, keys, options);
    using store = await openFeatureStore(folder, { identity: { size: 224, weights: 'abc', encoder: 'vit' } });
    expect(store.keys).toEqual(keys);
    expect([store.size, store.shardCount]).toEqual([5, 3]);
    expect(store.description).toEqual({ tokens: 3, width: 4, dtype, identity: SMALL.identity });
    expect(store.has('image 4')).toBe(true);
    expect(store.has('image 5')).toBe(false);
    expect(await store.read(keys)).toEqual(naiveRead(keys, options));
    expect(await store.read([])).toEqual(new Float32Array(0));
    await store.verify();
  });

  it('reads any keys in any order, as the naive reader does', async () => {
    const folder = newFolder();
    const options = { ...SMALL, rowsPerShard: 5 };
    const keys = keysUpTo(23);
    await write(folder, keys, options);
    using store = await openFeatureStore(folder);
    const buffer = new Float32Array(40 * 12 + 7);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...keys), { maxLength: 40 }), fc.nat(7), async (wanted, offset) => {
        const expected = naiveRead(wanted, options);
        expect(await store.read(wanted)).toEqual(expected);
        const target = buffer.subarray(offset, offset + expected.length);
        buffer.fill(-1);
        await store.readInto(wanted, target);
        expect(target).toEqual(expected);
        expect(buffer.subarray(0, offset).every((value) => value === -1)).toBe(true);
        expect(buffer.subarray(offset + expected.length).every((value) => value === -1)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it('streams rows in order, or shards in any order', async () => {
    const folder = newFolder();
    const options = { ...SMALL, rowsPerShard: 5 };
    await write(folder, keysUpTo(12), options);
    using store = await openFeatureStore(folder);
    const seen: string[][] = [];
    for await (const { keys, features } of store.stream({ rows: 3 })) {
      seen.push([...keys]);
      expect(features).toEqual(naiveRead(keys, options));
    }
    expect(seen.map((keys) => keys.length)).toEqual([3, 2, 3, 2, 2]);
    expect(seen.flat()).toEqual(store.keys);
    const shuffled: string[] = [];
    for await (const { keys } of store.stream({ shards: [2, 0] })) shuffled.push(...keys);
    expect(shuffled).toEqual([...store.keys.slice(10), ...store.keys.slice(0, 5)]);
    for await (const { keys } of store.stream({ rows: 1 })) if (keys[0] === 'image 1') break;
    await expect(store.stream({ rows: 0 }).next()).rejects.toThrow(InputError);
    await expect(store.stream({ shards: [3] }).next()).rejects.toThrow(/expected whole numbers from 0 to 2/);
  });

  it('is safetensors: other libraries read the shards', async () => {
    const folder = newFolder();
    await write(folder, keysUpTo(2));
    using file = await openSafetensorsFile(`${folder}/features-00001.safetensors`);
    expect(file.get('features')).toMatchObject({ dtype: 'F16', shape: [2, 3, 4] });
    expect(await file.get('features')!.read()).toEqual(naiveRead(keysUpTo(2), SMALL));
  });

  it('closes its files, however many shards there are', async () => {
    const folder = newFolder();
    const keys = keysUpTo(150);
    const options = { ...SMALL, rowsPerShard: 1 };
    await write(folder, keys, options);
    const store = await openFeatureStore(folder);
    expect(await store.read(keys)).toEqual(naiveRead(keys, options));
    if (process.platform === 'linux') expect(openFiles(folder)).toBeLessThanOrEqual(72);
    const reading = store.read(keys.toReversed());
    store.dispose();
    store.dispose();
    expect(await failure(reading)).toBeInstanceOf(DisposedError);
    await expect(store.read([])).rejects.toThrow(DisposedError);
    // Closing goes on behind our back: another file's turn comes after it.
    while (process.platform === 'linux' && openFiles(folder) > 0) await new Promise((done) => setImmediate(done));
  });

  it('stops when asked to', async () => {
    const folder = newFolder();
    await write(folder, keysUpTo(9));
    using store = await openFeatureStore(folder);
    const abortSignal = AbortSignal.abort();
    expect(await failure(store.read(keysUpTo(9), { abortSignal }))).toBe(abortSignal.reason);
    expect(await failure(store.verify({ abortSignal }))).toBe(abortSignal.reason);
    expect(await failure(store.stream({ abortSignal }).next())).toBe(abortSignal.reason);
    expect(await store.read(['image 3'])).toEqual(naiveRead(['image 3'], SMALL));
  });
});

describe('writing', () => {
  it('goes on where the last writer closed', async () => {
    const folder = newFolder();
    await write(folder, keysUpTo(3));
    await using store = await createFeatureStore(folder, { ...SMALL, rowsPerShard: 10 });
    expect(store.size).toBe(3);
    expect(store.has('image 2')).toBe(true);
    await store.append('image 3', featuresOf('image 3', SMALL));
    expect(store.has('image 3')).toBe(true);
    await store.flush();
    using reader = await openFeatureStore(folder);
    expect(reader.keys).toEqual(keysUpTo(4));
    expect(await reader.read(['image 3', 'image 0'])).toEqual(naiveRead(['image 3', 'image 0'], SMALL));
  });

  it('takes batches larger than a shard, and calls that are not awaited', async () => {
    const folder = newFolder();
    const keys = keysUpTo(11);
    const store = await createFeatureStore(folder, SMALL);
    const values = Float32Array.from(keys.flatMap((key) => [...featuresOf(key, SMALL)]));
    const appended = [store.append(keys.slice(0, 7), values.slice(0, 84)), store.append(keys.slice(7), values.slice(84))];
    await Promise.all([...appended, store.close()]);
    using reader = await openFeatureStore(folder);
    expect(reader.keys).toEqual(keys);
    expect(await reader.read(keys)).toEqual(naiveRead(keys, SMALL));
  });

  it('is refused to a second writer, until the first one closes', async () => {
    const folder = newFolder();
    const first = await createFeatureStore(folder, SMALL);
    const refused = await failure(createFeatureStore(folder, SMALL));
    expect(refused).toBeInstanceOf(ResourceError);
    expect(refused.message.replaceAll(folder, 'FOLDER')).toMatchInlineSnapshot(
      `"createFeatureStore: FOLDER is being written by another process or another writer of this one (FOLDER/.lock names it), expected to be the only writer. Wait for it, close it, or remove that file if its process is gone."`,
    );
    await first.append('a', featuresOf('a', SMALL));
    await first.close();
    await first.close();
    await expect(first.append('b', featuresOf('b', SMALL))).rejects.toThrow(DisposedError);
    await using second = await createFeatureStore(folder, SMALL);
    expect(second.has('a')).toBe(true);
  });

  it('lets go of the folder when it cannot be opened', async () => {
    const folder = newFolder();
    await write(folder, ['a']);
    await expect(createFeatureStore(folder, { ...SMALL, width: 5 })).rejects.toThrow('width 4, expected 5');
    await (await createFeatureStore(folder, SMALL)).close();
  });

  it('refuses rows that cannot be stored', async () => {
    await using store = await createFeatureStore(newFolder(), SMALL);
    const row = featuresOf('a', SMALL);
    await store.append('a', row);
    const messages = await Promise.all(
      [
        store.append('a', row),
        store.append(['b', 'b'], new Float32Array(24)),
        store.append('', row),
        store.append('b', row.subarray(1)),
        store.append(['b', 'c'], Float32Array.of(...row, ...row.with(6, Number.NaN))),
        store.append('b', row.with(0, 65_520)),
      ].map(async (work) => (await failure(work)).message),
    );
    expect(messages.join('\n')).toMatchInlineSnapshot(`
      "append: "a" comes a second time, expected each key once. Ask has(key) first, or make the key longer.
      append: "b" comes a second time, expected each key once. Ask has(key) first, or make the key longer.
      append: a key is "", expected a string that is not empty. Use the image's id.
      append: features has 11 values, expected 12 for 1 rows of [3, 4]. Pass one key for each row.
      append: "c" has NaN at token 1, column 2, expected a finite value below 65,520, the limit of F16. Check the encoder, or make the store with dtype 'F32'.
      append: "b" has 65520 at token 0, column 0, expected a finite value below 65,520, the limit of F16. Check the encoder, or make the store with dtype 'F32'."
    `);
    expect(store.size).toBe(1);
  });

  it.each([
    [{ rowsPerShard: 0 }, 'rowsPerShard is 0, expected a whole number from 1 to 89478485'],
    [{ rowsPerShard: 1e9 }, 'a shard of rows of 24 bytes is in memory until it is full'],
    [{ tokens: 1.5 }, 'tokens is 1.5, expected a whole number of at least 1'],
    [{ dtype: 'BF16' as 'F16' }, "dtype is BF16, expected 'F16' or 'F32'"],
  ])('refuses %o', async (change, message) => {
    await expect(createFeatureStore(newFolder(), { ...SMALL, ...change })).rejects.toThrow(message);
  });

  it('tells what the disk said, and then refuses rows, because some are missing', async () => {
    const folder = newFolder();
    const store = await createFeatureStore(folder, SMALL);
    mkdirSync(`${folder}/features-00001.safetensors`);
    await store.append('a', featuresOf('a', SMALL));
    const error = await failure(store.append('b', featuresOf('b', SMALL)));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain('is a folder, expected a file or nothing');
    expect(await failure(store.append('c', featuresOf('c', SMALL)))).toBe(error);
    await store.close();
    rmdirSync(`${folder}/features-00001.safetensors`);
    await write(folder, ['a', 'b']);
  });
});
