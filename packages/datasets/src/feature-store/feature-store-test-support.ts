import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeFloat16, encodeFloat16 } from '@blip2/checkpoints';
import { afterEach } from 'vitest';
import type { CreateFeatureStoreOptions } from './create-feature-store.ts';

/** A small store: 3 tokens of width 4, two rows a shard. */
export const SMALL: CreateFeatureStoreOptions = {
  tokens: 3,
  width: 4,
  dtype: 'F16',
  identity: { encoder: 'vit', weights: 'abc', size: 224 },
  rowsPerShard: 2,
};

/** The folder of each test, removed after it. */
export function useFolders(): () => string {
  const folders: string[] = [];
  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });
  return () => {
    const folder = mkdtempSync(join(tmpdir(), 'blip2-features-'));
    folders.push(folder);
    return join(folder, 'store');
  };
}

/** Features of a key that look random and are the same everywhere. */
export function featuresOf(key: string, { tokens, width }: { tokens: number; width: number }): Float32Array {
  const seed = [...key].reduce((sum, letter) => sum * 31 + letter.codePointAt(0)!, 7) % 10_007;
  return Float32Array.from({ length: tokens * width }, (_, index) => Math.sin(seed + index * 1.7) * (1 + (index % 5)));
}

/** What a store gives back: the nearest float16, or the value itself. */
export function asStored(values: Float32Array, dtype: 'F16' | 'F32'): Float32Array {
  if (dtype === 'F32') return values;
  const halves = new Uint16Array(values.length);
  const stored = new Float32Array(values.length);
  encodeFloat16(values, halves);
  decodeFloat16(halves, stored);
  return stored;
}

/** Rows of several keys, the obvious way. */
export function naiveRead(keys: readonly string[], options: CreateFeatureStoreOptions): Float32Array {
  const rows = keys.map((key) => asStored(featuresOf(key, options), options.dtype));
  return Float32Array.from(rows.flatMap((row) => [...row]));
}

/** The error that work ends with. */
export async function failure(work: Promise<unknown> | (() => Promise<unknown>)): Promise<Error> {
  try {
    await (typeof work === 'function' ? work() : work);
  } catch (cause) {
    return cause as Error;
  }
  throw new Error('it should have failed');
}
