import { createHash } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError } from '@blip2/core';
import { fileProblem, layOutSafetensors, syncFolder, writePending } from '@blip2/checkpoints/node';
import * as z from 'zod/mini';
import { fingerprint, readJson, rowBytes, type FeatureStoreDescription } from './store-description.ts';

/** One complete shard: a safetensors file with rows, and the index file beside it, which was written after it. */
export interface Shard {
  readonly number: number;
  /** Path of the safetensors file. */
  readonly path: string;
  /** One a row, in their order. */
  readonly keys: readonly string[];
  readonly sizeBytes: number;
  /** Of the whole file, as `sha256sum` prints it. */
  readonly sha256: string;
}

/** The one tensor of a shard: `[rows, tokens, width]`. */
export const FEATURES = 'features';
/** The entry of a shard's metadata that ties it to its index. */
export const KEYS_HASH = 'keys_sha256';

const SHARD_NAME = /^features-(\d{5,})\.(safetensors|json)$/;
const LEFT_OVER = /^\.(features-\d{5,}\.(safetensors|json)|store\.json)\.[0-9a-f]+\.tmp$/;
/** Index files that are read at once. */
const READS_AT_ONCE = 16;

const indexSchema = z.object({
  format: z.literal('blip2-features-shard'),
  version: z.literal(1),
  store: z.string(),
  rows: z.int().check(z.gte(1)),
  bytes: z.int().check(z.gte(1)),
  sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  keys: z.array(z.string()),
});

/**
 * All complete shards of a folder, in their order, with their sizes checked.
 *
 * @throws {CheckpointError} when an index is damaged or of another store, or a shard is missing or has another size.
 */
export async function readShards(folder: string, description: FeatureStoreDescription): Promise<Shard[]> {
  const numbers = (await listFolder(folder))
    .map((name) => SHARD_NAME.exec(name))
    .filter((match) => match?.[2] === 'json')
    .map((match) => Number(match![1]))
    .toSorted((a, b) => a - b);
  const store = fingerprint(description);
  const shards: Shard[] = [];
  for (let begin = 0; begin < numbers.length; begin += READS_AT_ONCE) {
    const some = numbers.slice(begin, begin + READS_AT_ONCE);
    shards.push(...(await Promise.all(some.map((number) => readShard(folder, number, store, rowBytes(description))))));
  }
  return shards;
}

/**
 * Writes a shard, then its index, each whole or not at all: a shard without an index does not exist for readers.
 *
 * @param data - The rows' bytes, little-endian.
 */
export async function writeShard(
  folder: string,
  number: number,
  description: FeatureStoreDescription,
  keys: readonly string[],
  data: Uint8Array,
): Promise<void> {
  const { dtype, tokens, width } = description;
  const shape = [keys.length, tokens, width];
  const { head } = layOutSafetensors([{ name: FEATURES, dtype, shape }], { format: 'pt', [KEYS_HASH]: keysHash(keys) });
  const sha256 = createHash('sha256').update(head).update(data).digest('hex');
  const file = await writePending(shardPath(folder, number), async (append) => {
    await append(head);
    await append(data);
  });
  await file.commit();
  // The shard's name must be on the disk before the index says that it is there.
  await syncFolder(folder);
  const index = {
    format: 'blip2-features-shard',
    version: 1,
    store: fingerprint(description),
    rows: keys.length,
    bytes: head.length + data.length,
    sha256,
    keys,
  };
  const indexFile = await writePending(indexPath(folder, number), (append) =>
    append(new TextEncoder().encode(`${JSON.stringify(index)}\n`)),
  );
  await indexFile.commit();
  await syncFolder(folder);
}

/** Removes what a killed writer left: files under temporary names, and shards without an index. Only the writer may. */
export async function removeLeftOvers(folder: string): Promise<void> {
  const names = await listFolder(folder);
  const known = new Set(names);
  for (const name of names) {
    const match = SHARD_NAME.exec(name);
    const isOrphan = match?.[2] === 'safetensors' && !known.has(`features-${match[1]}.json`);
    if (isOrphan || LEFT_OVER.test(name)) await rm(join(folder, name), { force: true });
  }
}

/** What binds the keys of an index to the rows of a shard. */
export function keysHash(keys: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(keys)).digest('hex');
}

async function readShard(folder: string, number: number, store: string, bytesOfRow: number): Promise<Shard> {
  const path = shardPath(folder, number);
  const indexFile = indexPath(folder, number);
  const cure = `Delete it and write the features again: only the rows of this shard are made anew.`;
  const json = await readJson(indexFile, cure);
  const parsed = z.safeParse(indexSchema, json);
  if (!parsed.success || parsed.data.keys.length !== parsed.data.rows || new Set(parsed.data.keys).size !== parsed.data.rows) {
    const field = parsed.success ? 'keys' : (parsed.error.issues[0]?.path[0] ?? 'format');
    throw new CheckpointError(
      `${indexFile}: the field ${String(field)} is missing or wrong, expected the index of a shard. ${cure}`,
      indexFile,
    );
  }
  const { bytes, rows, keys, sha256 } = parsed.data;
  if (parsed.data.store !== store) {
    throw new CheckpointError(
      `${indexFile}: the shard belongs to a store with another description, expected the one of store.json beside it. ` +
        `Move the shard and its index back to where they came from.`,
      indexFile,
    );
  }
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw fileProblem('read', path, cause);
    return undefined;
  });
  if (found?.size !== bytes || bytes <= rows * bytesOfRow) {
    throw new CheckpointError(
      `${path}: the file ${found === undefined ? 'is missing' : `has ${found.size} bytes`}, expected ${bytes} bytes with ${rows} rows of ${bytesOfRow} bytes. ` +
        `Fetch it again, or delete ${indexFile} and write the features again: only the rows of this shard are made anew.`,
      path,
    );
  }
  return { number, path, keys, sizeBytes: bytes, sha256 };
}

async function listFolder(folder: string): Promise<string[]> {
  return readdir(folder).catch((cause: unknown) => {
    throw fileProblem('read', folder, cause);
  });
}

function shardPath(folder: string, number: number): string {
  return join(folder, `features-${String(number).padStart(5, '0')}.safetensors`);
}

/** Path of a shard's index. */
export function indexPath(folder: string, number: number): string {
  return join(folder, `features-${String(number).padStart(5, '0')}.json`);
}
