import { CheckpointError, listSome } from '@blip2/core';
import type { ByteSource, ReadOptions } from '../bytes/byte-source.ts';
import { decodeUtf8, parseJsonText, quote } from '../json/parse-json.ts';
import { openSafetensors, type SafetensorsFile } from '../safetensors/open-safetensors.ts';
import type { CheckpointFiles } from './checkpoint-files.ts';
import { INDEX_FILE, isPlainFileName } from './weight-files.ts';

/**
 * Opens all files that an index names, and checks that index and files agree on every weight.
 *
 * @throws {CheckpointError} naming the index or the file that is wrong. Nothing stays open then.
 *
 * Source: `transformers.modeling_utils`, sharded checkpoints.
 */
export async function openShards(files: CheckpointFiles, index: Uint8Array, options: ReadOptions): Promise<SafetensorsFile[]> {
  const indexPath = files.pathOf(INDEX_FILE);
  const namesByShard = groupByShard(parseIndex(index, indexPath));
  const shards = [...namesByShard];
  const sources = await allOrNone(shards.map(([shard, names]) => openShard(files, shard, names, options)));
  files.allOpened?.();
  return allOrNone(sources.map((source, position) => checkShard(source, shards[position]![1], options)));
}

/** Waits for all; when one fails, disposes the others and throws what it threw. */
async function allOrNone<Resource extends { dispose(): void }>(opening: readonly Promise<Resource>[]): Promise<Resource[]> {
  const settled = await Promise.allSettled(opening);
  const opened = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failure = settled.find((result) => result.status === 'rejected');
  if (failure === undefined) return opened;
  for (const resource of opened) resource.dispose();
  throw failure.reason;
}

/** Weight name to shard name. */
function parseIndex(bytes: Uint8Array, path: string): [string, string][] {
  const fail = (problem: string): CheckpointError =>
    new CheckpointError(`${path}: ${problem}. Fetch the index file again, from the same revision as the weights.`, path);
  const text = decodeUtf8(bytes);
  if (text === undefined) throw fail('is not UTF-8 text');
  const parsed = parseJsonText(text, { refuseDuplicates: true });
  if ('problem' in parsed) throw fail(parsed.problem);
  const map = asRecord(asRecord(parsed.value)?.['weight_map']);
  if (map === undefined) throw fail("has no 'weight_map' object, expected one from weight names to file names");
  const entries = Object.entries(map);
  if (entries.length === 0) throw fail("has an empty 'weight_map', expected at least one weight");
  for (const [name, shard] of entries) {
    if (typeof shard !== 'string' || !isPlainFileName(shard) || !shard.endsWith('.safetensors')) {
      const found = typeof shard === 'string' ? quote(shard) : JSON.stringify(shard);
      throw fail(`puts ${quote(name)} into ${found}, expected the plain name of a .safetensors file in the same folder`);
    }
  }
  return entries as [string, string][];
}

function groupByShard(entries: readonly [string, string][]): Map<string, Set<string>> {
  const groups = new Map<string, Set<string>>();
  for (const [name, shard] of entries) {
    const names = groups.get(shard) ?? new Set();
    groups.set(shard, names.add(name));
  }
  return groups;
}

async function openShard(
  files: CheckpointFiles,
  shard: string,
  expected: ReadonlySet<string>,
  options: ReadOptions,
): Promise<ByteSource> {
  const source = await files.open(shard, options);
  if (source !== undefined) return source;
  const path = files.pathOf(shard);
  throw new CheckpointError(
    `${path}: missing, but ${INDEX_FILE} puts ${expected.size} weights into it, such as ${listSome([...expected].slice(0, 2))}. ` +
      `Fetch this file, from the same revision as the index.`,
    path,
  );
}

async function checkShard(source: ByteSource, expected: ReadonlySet<string>, options: ReadOptions): Promise<SafetensorsFile> {
  const file = await openSafetensors(source, options);
  const missing = [...expected].filter((name) => file.get(name) === undefined);
  const extra = file.names.filter((name) => !expected.has(name));
  if (missing.length === 0 && extra.length === 0) return file;
  file.dispose();
  const lack = missing.length > 0 ? `lacks ${listSome(missing)}, which ${INDEX_FILE} puts there` : undefined;
  const surplus = extra.length > 0 ? `holds ${listSome(extra)}, which ${INDEX_FILE} does not put there` : undefined;
  const problems = [lack, surplus].filter((text) => text !== undefined).join('; ');
  throw new CheckpointError(
    `${source.name}: ${problems}. Index and weights come from different revisions; fetch them again together.`,
    source.name,
  );
}

function asRecord(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
}
