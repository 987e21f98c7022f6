import { createHash } from 'node:crypto';
import { Blip2Error, CheckpointError, listSome, ProgressReporter, type RunOptions } from '@blip2/core';
import type { ShardFiles } from './shard-files.ts';
import { keysHash, type Shard } from './shards.ts';

const PIECE_BYTES = 4 * 1024 * 1024;

/**
 * Compares every shard with its index.
 * @throws {CheckpointError} naming up to five that differ, after all were read.
 */
export async function verifyShards(
  folder: string,
  shards: readonly Shard[],
  files: ShardFiles,
  { abortSignal, onProgress }: RunOptions,
): Promise<void> {
  const progress = new ProgressReporter(
    'run',
    shards.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    onProgress,
  );
  const problems: string[] = [];
  for (const shard of shards) {
    const problem = await problemOf(shard, files, abortSignal, (bytes) => progress.add(shard.path, bytes));
    if (problem !== undefined) problems.push(problem);
  }
  if (problems.length > 0) {
    throw new CheckpointError(
      `${folder}: ${problems.length} of ${shards.length} shards are damaged: ${listSome(problems, '; ')}. ` +
        `Fetch them again, or delete each with its index (.json) and write the features again: only their rows are made anew.`,
      folder,
    );
  }
  progress.complete(folder);
}

async function problemOf(
  shard: Shard,
  files: ShardFiles,
  abortSignal: AbortSignal | undefined,
  onRead: (bytes: number) => void,
): Promise<string | undefined> {
  try {
    return await files.use(shard, async (file) => {
      const hash = createHash('sha256');
      for (let offset = 0; offset < shard.sizeBytes; offset += PIECE_BYTES) {
        const bytes = await file.source.read(offset, Math.min(PIECE_BYTES, shard.sizeBytes - offset), { abortSignal });
        hash.update(bytes);
        onRead(bytes.length);
      }
      const sha256 = hash.digest('hex');
      if (sha256 !== shard.sha256) return `${shard.path} has sha256 ${sha256}, expected ${shard.sha256}`;
      if (file.keysHash !== keysHash(shard.keys))
        return `the index of ${shard.path} has other keys than the shard was written with`;
      return undefined;
    });
  } catch (cause) {
    // A shard whose header cannot be read is one of those to be named; aborts and the end of the store are not.
    if (!(Blip2Error.isInstance(cause) && cause.code === 'checkpoint')) throw cause;
    return cause.message;
  }
}
