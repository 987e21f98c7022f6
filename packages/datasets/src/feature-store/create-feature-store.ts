import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DisposedError, InputError, ResourceError, ShapeError } from '@blip2/core';
import { fileProblem, lockIfFree, syncFolder, writePending, type BlobLock } from '@blip2/checkpoints/node';
import { writeHalves } from './half-floats.ts';
import { readShards, removeLeftOvers, writeShard } from './shards.ts';
import {
  assertDescription,
  assertSameStore,
  encodeDescription,
  readDescription,
  rowBytes,
  rowLength,
  STORE_FILE,
  type FeatureStoreDescription,
} from './store-description.ts';

/** What is stored, and how it is cut into files. */
export interface CreateFeatureStoreOptions extends FeatureStoreDescription {
  /** Rows of one shard; a shard is in memory until it is full. @default as many as 64 MiB hold */
  readonly rowsPerShard?: number;
}

/** A store that is being written. One at a time has a folder. */
export interface FeatureStoreWriter extends AsyncDisposable {
  readonly folder: string;
  readonly description: FeatureStoreDescription;
  /** Rows that were appended, now or by earlier writers. */
  readonly size: number;
  /** Whether a row was appended under this key, now or by earlier writers. */
  has(key: string): boolean;
  /**
   * Appends one row, or several of one batch. Their values are copied before this returns its promise; they are safe on the disk
   * when their shard is full, or after `flush` or `close`.
   *
   * @param keys - A key, or one for each row.
   * @param features - `[tokens, width]`, or `[rows, tokens, width]`, row-major.
   * @throws {InputError} for a key that is there already, and for values that are not finite or, in F16, beyond ±65,504.
   * @throws {ShapeError} when there are more or fewer values than the rows have.
   * @throws {ResourceError} when the disk is full.
   */
  append(keys: string | readonly string[], features: Float32Array): Promise<void>;
  /** Writes the rows that wait as a shard of their own. */
  flush(): Promise<void>;
  /** Writes the rows that wait and lets go of the folder. Idempotent. */
  close(): Promise<void>;
}

const LOCK_FILE = '.lock';
const DEFAULT_SHARD_BYTES = 64 * 1024 * 1024;
/** What one typed array and one write can certainly have. */
const LARGEST_SHARD_BYTES = 2 ** 31 - 1;

/**
 * Makes a store of features, or goes on with one that is there: after an error or a kill every complete shard is kept, and the rows
 * after it are appended again (`has` tells which are there).
 *
 * @param folder - Made if needed.
 * @throws {ConfigError} when the folder has a store of other features.
 * @throws {ResourceError} when another writer has the folder.
 * @throws {CheckpointError} when the folder cannot be written, or a shard that is there is damaged.
 *
 * @example
 * await using store = await createFeatureStore('coco-vit-g', { tokens: 257, width: 1408, dtype: 'F16', identity: { encoder: 'eva-vit-g' } });
 * if (!store.has('391895')) await store.append('391895', await features.data());
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3: the image encoder is frozen, so its features are computed once.
 */
export async function createFeatureStore(folder: string, options: CreateFeatureStoreOptions): Promise<FeatureStoreWriter> {
  assertDescription(options);
  const { tokens, width, dtype, identity } = options;
  const description = { tokens, width, dtype, identity };
  const rowsPerShard = checkedRowsPerShard(options);
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw fileProblem('write', folder, cause);
  });
  const lock = await lockFolder(folder);
  try {
    const found = await readDescription(folder);
    const cure = 'Choose another folder, or pass what the store was made with.';
    if (found !== undefined) assertSameStore(folder, found, description, cure);
    await removeLeftOvers(folder);
    if (found === undefined) {
      const file = await writePending(join(folder, STORE_FILE), (append) => append(encodeDescription(description)));
      await file.commit();
      await syncFolder(folder);
    }
    const shards = await readShards(folder, description);
    const keys = new Set(shards.flatMap((shard) => shard.keys));
    return new Writer({ folder, description, rowsPerShard, lock, keys, nextShard: (shards.at(-1)?.number ?? 0) + 1 });
  } catch (cause) {
    await lock.release();
    throw cause;
  }
}

function checkedRowsPerShard(options: CreateFeatureStoreOptions): number {
  const bytes = rowBytes(options);
  const { rowsPerShard = Math.max(1, Math.floor(DEFAULT_SHARD_BYTES / bytes)) } = options;
  const most = Math.floor(LARGEST_SHARD_BYTES / bytes);
  if (Number.isSafeInteger(rowsPerShard) && rowsPerShard >= 1 && rowsPerShard <= most) return rowsPerShard;
  throw new InputError(
    `createFeatureStore: rowsPerShard is ${rowsPerShard}, expected a whole number from 1 to ${most}: a shard of rows of ${bytes} bytes is in memory until it is full. Choose fewer.`,
  );
}

async function lockFolder(folder: string): Promise<BlobLock> {
  const path = join(folder, LOCK_FILE);
  const lock = await lockIfFree(path).catch((cause: unknown) => {
    throw fileProblem('write', path, cause);
  });
  if (lock !== undefined) return lock;
  throw new ResourceError(
    `createFeatureStore: ${folder} is being written by another process or another writer of this one (${path} names it), expected to be the only writer. ` +
      `Wait for it, close it, or remove that file if its process is gone.`,
  );
}

interface WriterState {
  readonly folder: string;
  readonly description: FeatureStoreDescription;
  readonly rowsPerShard: number;
  readonly lock: BlobLock;
  /** Of all rows, those that wait included. */
  readonly keys: Set<string>;
  readonly nextShard: number;
}

class Writer implements FeatureStoreWriter {
  readonly folder: string;
  readonly description: FeatureStoreDescription;
  readonly #state: WriterState;
  #nextShard: number;
  #waiting: Uint8Array<ArrayBuffer> | undefined;
  #waitingKeys: string[] = [];
  /** Shards are written one after the other. */
  #writing: Promise<void> = Promise.resolve();
  #failure: unknown;
  #closed: Promise<void> | undefined;

  constructor(state: WriterState) {
    this.#state = state;
    this.folder = state.folder;
    this.description = state.description;
    this.#nextShard = state.nextShard;
  }

  get size(): number {
    return this.#state.keys.size;
  }

  has(key: string): boolean {
    return this.#state.keys.has(key);
  }

  async append(keys: string | readonly string[], features: Float32Array): Promise<void> {
    this.#assertOpen();
    const names = typeof keys === 'string' ? [keys] : keys;
    const { tokens, width } = this.description;
    const length = rowLength(this.description);
    if (features.length !== names.length * length) {
      throw new ShapeError(
        `append: features has ${features.length} values, expected ${names.length * length} for ${names.length} rows of [${tokens}, ${width}]. Pass one key for each row.`,
        [features.length],
        [names.length, tokens, width],
      );
    }
    this.#assertNew(names);
    assertStorable(features, names, this.description);
    const full: Promise<void>[] = [];
    for (const [row, key] of names.entries()) {
      this.#put(key, features.subarray(row * length, (row + 1) * length));
      if (this.#waitingKeys.length === this.#state.rowsPerShard) full.push(this.#writeWaiting());
    }
    await Promise.all(full);
  }

  async flush(): Promise<void> {
    this.#assertOpen();
    await this.#writeWaiting();
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      try {
        // After a failure, rows are missing before those that wait; the caller was told.
        await (this.#failure === undefined ? this.#writeWaiting() : this.#writing.catch(() => undefined));
      } finally {
        this.#waiting = undefined;
        await this.#state.lock.release();
      }
    })();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new DisposedError(`The writer of ${this.folder}`);
    if (this.#failure !== undefined) throw this.#failure;
  }

  #assertNew(keys: readonly string[]): void {
    const seen = new Set<string>();
    for (const key of keys) {
      if (typeof key !== 'string' || key === '') {
        throw new InputError(`append: a key is ${JSON.stringify(key)}, expected a string that is not empty. Use the image's id.`);
      }
      if (seen.has(key) || this.has(key)) {
        throw new InputError(
          `append: ${JSON.stringify(key)} comes a second time, expected each key once. Ask has(key) first, or make the key longer.`,
        );
      }
      seen.add(key);
    }
  }

  #put(key: string, row: Float32Array): void {
    const bytes = rowBytes(this.description);
    this.#waiting ??= new Uint8Array(this.#state.rowsPerShard * bytes);
    const place = this.#waiting.subarray(this.#waitingKeys.length * bytes, (this.#waitingKeys.length + 1) * bytes);
    if (this.description.dtype === 'F16') writeHalves(row, place);
    else new Float32Array(place.buffer, place.byteOffset, row.length).set(row);
    this.#waitingKeys.push(key);
    this.#state.keys.add(key);
  }

  #writeWaiting(): Promise<void> {
    const keys = this.#waitingKeys;
    const waiting = this.#waiting;
    if (waiting === undefined || keys.length === 0) return this.#writing;
    this.#waitingKeys = [];
    this.#waiting = undefined;
    const number = this.#nextShard++;
    const data = waiting.subarray(0, keys.length * rowBytes(this.description));
    this.#writing = this.#writing.then(async () => {
      try {
        await writeShard(this.folder, number, this.description, keys, data);
      } catch (cause) {
        this.#failure = cause;
        throw cause;
      }
    });
    return this.#writing;
  }
}

/** The largest float16, and half of the step after it: from there on values round to infinity. */
const FLOAT16_OVERFLOW = 65_520;

function assertStorable(
  features: Float32Array,
  keys: readonly string[],
  { dtype, tokens, width }: FeatureStoreDescription,
): void {
  const limit = dtype === 'F16' ? FLOAT16_OVERFLOW : Number.POSITIVE_INFINITY;
  for (let index = 0; index < features.length; index++) {
    const value = features[index]!;
    if (Math.abs(value) < limit) continue; // false for NaN
    const inRow = index % (tokens * width);
    throw new InputError(
      `append: ${JSON.stringify(keys[Math.floor(index / (tokens * width))])} has ${value} at token ${Math.floor(inRow / width)}, column ${inRow % width}, ` +
        `expected a finite value${dtype === 'F16' ? ' below 65,520, the limit of F16' : ''}. Check the encoder${dtype === 'F16' ? ", or make the store with dtype 'F32'" : ''}.`,
    );
  }
}
