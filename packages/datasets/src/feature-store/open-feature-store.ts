import { CheckpointError, DisposedError, InputError, listSome, ShapeError, type RunOptions } from '@blip2/core';
import { ShardFiles } from './shard-files.ts';
import { readShards, type Shard } from './shards.ts';
import {
  assertSameStore,
  readDescription,
  rowLength,
  STORE_FILE,
  type FeatureIdentity,
  type FeatureStoreDescription,
} from './store-description.ts';
import { verifyShards } from './verify-shards.ts';

/** What a store must be to be opened. */
export interface OpenFeatureStoreOptions {
  /** The features' identity, all of it. @default any */
  readonly identity?: FeatureIdentity;
}

/** Rows in their order, with their keys. */
export interface FeatureBatch {
  readonly keys: readonly string[];
  /** `[keys, tokens, width]`, row-major; the receiver's. */
  readonly features: Float32Array<ArrayBuffer>;
}

/** How a store is read in order. */
export interface StreamOptions extends Pick<RunOptions, 'abortSignal'> {
  /** Rows of a batch; the last of a shard may have fewer. @default 64 */
  readonly rows?: number;
  /** Shards to read, from 0, in this order: permute them for a cheap shuffle. @default all, in order */
  readonly shards?: Iterable<number>;
}

/** A store that is read: the shards that were complete when it was opened. */
export interface FeatureStore extends Disposable {
  readonly folder: string;
  readonly description: FeatureStoreDescription;
  /** Rows. */
  readonly size: number;
  /** In the order of the rows. */
  readonly keys: readonly string[];
  readonly shardCount: number;
  has(key: string): boolean;
  /**
   * Rows at random.
   *
   * @returns `[keys, tokens, width]`, row-major, in the order of `keys`, which may come more than once; the caller's.
   * @throws {InputError} for keys that are not there.
   */
  read(keys: readonly string[], options?: Pick<RunOptions, 'abortSignal'>): Promise<Float32Array<ArrayBuffer>>;
  /** The same into memory of the caller, `keys · tokens · width` values. After an error or an abort it holds anything. */
  readInto(keys: readonly string[], target: Float32Array<ArrayBuffer>, options?: Pick<RunOptions, 'abortSignal'>): Promise<void>;
  /** Rows in order. The next batch is read while the present one is used. */
  stream(options?: StreamOptions): AsyncGenerator<FeatureBatch, void, undefined>;
  /**
   * Reads every shard and compares hashes.
   * @throws {CheckpointError} naming the shards that are damaged.
   */
  verify(options?: RunOptions): Promise<void>;
  /** Closes all files. Reads under way end first. Idempotent. */
  dispose(): void;
}

/**
 * Opens a store: reads its description and the indices of its shards, and checks their sizes. Features are read when asked for.
 *
 * @throws {CheckpointError} when there is no store, or a part of it is missing, damaged or of another store.
 * @throws {ConfigError} when the features are not those of `identity`.
 *
 * @example
 * using store = await openFeatureStore('coco-vit-g', { identity: { encoder: 'eva-vit-g' } });
 * const features = tf.tensor3d(await store.read(['391895', '522418']), [2, 257, 1408]);
 */
export async function openFeatureStore(folder: string, { identity }: OpenFeatureStoreOptions = {}): Promise<FeatureStore> {
  const description = await readDescription(folder);
  if (description === undefined) {
    throw new CheckpointError(
      `${folder}: found no ${STORE_FILE}, expected a folder written by createFeatureStore. Check the path.`,
      folder,
    );
  }
  const cure = 'Pass the identity of the features in the folder, or write the ones you expect into another folder.';
  if (identity !== undefined) assertSameStore(folder, description, { identity }, cure);
  return new Reader(folder, description, await readShards(folder, description));
}

/** One read: rows of one shard that follow one another, in the file and in the result. */
interface Run {
  readonly shard: Shard;
  readonly begin: number;
  readonly slot: number;
  rows: number;
}

/** Reads under way at once. Node has four threads for files. */
const READS_AT_ONCE = 8;

class Reader implements FeatureStore {
  readonly folder: string;
  readonly description: FeatureStoreDescription;
  readonly keys: readonly string[];
  readonly #shards: readonly Shard[];
  /** Row of the store in which each shard begins. */
  readonly #begins: readonly number[];
  readonly #rows: ReadonlyMap<string, number>;
  readonly #files: ShardFiles;
  #disposed = false;

  constructor(folder: string, description: FeatureStoreDescription, shards: readonly Shard[]) {
    this.folder = folder;
    this.description = description;
    this.#shards = shards;
    this.keys = shards.flatMap((shard) => shard.keys);
    this.#rows = new Map(this.keys.map((key, row) => [key, row]));
    if (this.#rows.size < this.keys.length) throw this.#twice();
    let row = 0;
    this.#begins = shards.map(({ keys }) => (row += keys.length) - keys.length);
    this.#files = new ShardFiles(description);
  }

  get size(): number {
    return this.keys.length;
  }

  get shardCount(): number {
    return this.#shards.length;
  }

  has(key: string): boolean {
    return this.#rows.has(key);
  }

  async read(keys: readonly string[], options: Pick<RunOptions, 'abortSignal'> = {}): Promise<Float32Array<ArrayBuffer>> {
    const target = unfilled(keys.length * rowLength(this.description));
    await this.readInto(keys, target, options);
    return target;
  }

  async readInto(
    keys: readonly string[],
    target: Float32Array<ArrayBuffer>,
    { abortSignal }: Pick<RunOptions, 'abortSignal'> = {},
  ): Promise<void> {
    this.#assertOpen();
    const length = rowLength(this.description);
    if (target.length !== keys.length * length) {
      const { tokens, width } = this.description;
      throw new ShapeError(
        `readInto: target has ${target.length} values, expected ${keys.length * length} for ${keys.length} rows of [${tokens}, ${width}]. Make it that long.`,
        [target.length],
        [keys.length, tokens, width],
      );
    }
    await this.#fill(target, this.#runs(this.#rowsOf(keys)), abortSignal);
  }

  async *stream({ rows = 64, shards = this.#shards.keys(), abortSignal }: StreamOptions = {}): AsyncGenerator<
    FeatureBatch,
    void,
    undefined
  > {
    this.#assertOpen();
    if (!Number.isSafeInteger(rows) || rows < 1) {
      throw new InputError(`stream: rows is ${rows}, expected a whole number of at least 1. Pass how many rows a batch has.`);
    }
    let ahead: Promise<FeatureBatch> | undefined;
    try {
      for (const index of shards) {
        const shard = this.#shardAt(index);
        for (let begin = 0; begin < shard.keys.length; begin += rows) {
          abortSignal?.throwIfAborted();
          const present = ahead;
          ahead = this.#readBatch(shard, begin, rows, abortSignal);
          ahead.catch(() => undefined); // awaited later, or never when the receiver stops
          if (present !== undefined) yield await present;
        }
      }
      if (ahead !== undefined) yield await ahead;
    } finally {
      await ahead?.catch(() => undefined);
    }
  }

  async verify(options: RunOptions = {}): Promise<void> {
    this.#assertOpen();
    await verifyShards(this.folder, this.#shards, this.#files, options);
  }

  dispose(): void {
    this.#disposed = true;
    this.#files.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #assertOpen(): void {
    if (this.#disposed) throw new DisposedError(`The feature store ${this.folder}`);
  }

  #rowsOf(keys: readonly string[]): number[] {
    const rows = keys.map((key) => this.#rows.get(key));
    if (rows.includes(undefined)) {
      const missing = keys.filter((key) => !this.#rows.has(key)).map((key) => JSON.stringify(key));
      throw new InputError(
        `read: ${this.folder} has no features of ${listSome(missing)}, expected keys among its ${this.size}. Ask has(key) first, or write the missing ones.`,
      );
    }
    return rows as number[];
  }

  /** In the order of the disk. */
  #runs(rows: readonly number[]): Run[] {
    const slots = rows.map((_, slot) => slot).toSorted((a, b) => rows[a]! - rows[b]! || a - b);
    const runs: Run[] = [];
    let shardIndex = 0;
    for (const slot of slots) {
      const row = rows[slot]!;
      while (row >= this.#begins[shardIndex]! + this.#shards[shardIndex]!.keys.length) shardIndex++;
      const shard = this.#shards[shardIndex]!;
      const begin = row - this.#begins[shardIndex]!;
      const last = runs.at(-1);
      const follows = last?.shard === shard && last.begin + last.rows === begin && last.slot + last.rows === slot;
      if (follows && last.rows < this.#files.rowsAtOnce) last.rows++;
      else runs.push({ shard, begin, slot, rows: 1 });
    }
    return runs;
  }

  #shardAt(index: number): Shard {
    const shard = this.#shards[index];
    if (shard !== undefined) return shard;
    throw new InputError(
      `stream: shards has ${index}, expected whole numbers from 0 to ${this.#shards.length - 1}. Take them from shardCount.`,
    );
  }

  async #readBatch(shard: Shard, begin: number, rows: number, abortSignal: AbortSignal | undefined): Promise<FeatureBatch> {
    const keys = shard.keys.slice(begin, begin + rows);
    const features = unfilled(keys.length * rowLength(this.description));
    const step = this.#files.rowsAtOnce;
    const runs = Array.from({ length: Math.ceil(keys.length / step) }, (_, index) => {
      const slot = index * step;
      return { shard, begin: begin + slot, slot, rows: Math.min(step, keys.length - slot) };
    });
    await this.#fill(features, runs, abortSignal);
    return { keys, features };
  }

  /** Several reads at once. When one fails the others end before the error is thrown, so that the memory is the caller's again. */
  async #fill(target: Float32Array<ArrayBuffer>, runs: readonly Run[], abortSignal: AbortSignal | undefined): Promise<void> {
    const length = rowLength(this.description);
    let next = 0;
    const readSome = async (): Promise<void> => {
      while (next < runs.length) {
        abortSignal?.throwIfAborted();
        const { shard, begin, slot, rows } = runs[next++]!;
        await this.#files.readRows(shard, begin, target.subarray(slot * length, (slot + rows) * length), { abortSignal });
      }
    };
    const readers = Array.from({ length: Math.min(READS_AT_ONCE, runs.length) }, readSome);
    try {
      await Promise.all(readers);
    } catch (cause) {
      next = runs.length;
      await Promise.allSettled(readers);
      throw cause;
    }
    abortSignal?.throwIfAborted();
  }

  #twice(): CheckpointError {
    const key = this.keys.find((one, row) => this.#rows.get(one) !== row);
    return new CheckpointError(
      `${this.folder}: the key ${JSON.stringify(key)} is in two shards, expected each key once. Delete one of the shards with its index.`,
      this.folder,
    );
  }
}

/** Memory that is not zeroed: every value of it is read. */
function unfilled(length: number): Float32Array<ArrayBuffer> {
  return new Float32Array(Buffer.allocUnsafeSlow(4 * length).buffer);
}
