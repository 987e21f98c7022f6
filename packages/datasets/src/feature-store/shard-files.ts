import { CheckpointError, DisposedError, type Weight } from '@blip2/core';
import { openSafetensors, type ByteSource, type ReadOptions } from '@blip2/checkpoints';
import { openFileByteSource } from '@blip2/checkpoints/node';
import { readHalves } from './half-floats.ts';
import { FEATURES, KEYS_HASH, type Shard } from './shards.ts';
import { rowBytes, type FeatureStoreDescription } from './store-description.ts';

/** Systems allow a process some hundred open files at least. */
const OPEN_FILES = 64;
/** Longer reads are cut: an abort is noticed soon, and halves that wait to be converted take little memory. */
const LARGEST_READ_BYTES = 1024 * 1024;

/** A shard's file, its header read and checked. */
export interface ShardFile {
  readonly source: ByteSource;
  /** Of the first row, in the file. */
  readonly dataOffset: number;
  /** The hash of the keys that the shard was written with. */
  readonly keysHash: string | undefined;
}

interface OpenShard {
  readonly file: Promise<ShardFile>;
  users: number;
}

/** The files of shards, opened when they are read and closed when too many are open. */
export class ShardFiles {
  /** Rows of the longest read. */
  readonly rowsAtOnce: number;
  readonly #description: FeatureStoreDescription;
  /** The one that was not used for longest comes first. */
  readonly #open = new Map<Shard, OpenShard>();
  /** Memory for halves, as many pieces as were ever read at once. */
  readonly #halves: Uint8Array<ArrayBuffer>[] = [];
  #disposed = false;

  constructor(description: FeatureStoreDescription) {
    this.#description = description;
    this.rowsAtOnce = Math.max(1, Math.floor(LARGEST_READ_BYTES / rowBytes(description)));
  }

  /** Runs `work` with a shard's file, which stays open meanwhile. */
  async use<Result>(shard: Shard, work: (file: ShardFile) => Promise<Result>): Promise<Result> {
    if (this.#disposed) throw new DisposedError('The feature store');
    const opened = this.#open.get(shard) ?? { file: openShard(shard, this.#description), users: 0 };
    this.#open.delete(shard);
    this.#open.set(shard, opened);
    opened.users++;
    this.#closeSome(OPEN_FILES);
    try {
      return await work(await opened.file);
    } catch (cause) {
      if (this.#open.get(shard) === opened) await this.#forgetUnopened(shard, opened);
      throw cause;
    } finally {
      opened.users--;
      this.#closeSome(this.#disposed ? 0 : OPEN_FILES);
    }
  }

  /**
   * Reads rows that follow one another, at most {@link ShardFiles.rowsAtOnce}.
   *
   * @param target - Exactly as many values as the rows have.
   */
  readRows(shard: Shard, begin: number, target: Float32Array<ArrayBuffer>, options: ReadOptions): Promise<void> {
    return this.use(shard, ({ source, dataOffset }) =>
      this.#readPart(source, dataOffset + begin * rowBytes(this.#description), target, options),
    );
  }

  /** Closes what is open, files in use when their reads have ended. */
  dispose(): void {
    this.#disposed = true;
    this.#closeSome(0);
  }

  async #readPart(source: ByteSource, offset: number, part: Float32Array<ArrayBuffer>, options: ReadOptions): Promise<void> {
    const { buffer, byteOffset, length } = part;
    if (this.#description.dtype === 'F32') {
      await source.readInto!(offset, new Uint8Array(buffer, byteOffset, 4 * length), options);
      return;
    }
    const piece = this.#halves.pop() ?? new Uint8Array(this.rowsAtOnce * rowBytes(this.#description));
    try {
      const halves = piece.subarray(0, 2 * length);
      await source.readInto!(offset, halves, options);
      readHalves(halves, part);
    } finally {
      this.#halves.push(piece);
    }
  }

  #closeSome(limit: number): void {
    for (const [shard, opened] of this.#open) {
      if (this.#open.size <= limit) return;
      if (opened.users > 0) continue;
      this.#open.delete(shard);
      opened.file.then(({ source }) => source.dispose()).catch(() => undefined);
    }
  }

  /** A file that could not be opened is tried anew the next time. */
  async #forgetUnopened(shard: Shard, opened: OpenShard): Promise<void> {
    const isOpen = await opened.file.then(
      () => true,
      () => false,
    );
    if (!isOpen && this.#open.get(shard) === opened) this.#open.delete(shard);
  }
}

async function openShard(shard: Shard, { dtype, tokens, width }: FeatureStoreDescription): Promise<ShardFile> {
  const source = await openFileByteSource(shard.path);
  const { get, metadata } = await openSafetensors(source);
  const weight: Weight | undefined = get(FEATURES);
  const shape = [shard.keys.length, tokens, width];
  if (weight?.location === undefined || weight.dtype !== dtype || weight.shape.join() !== shape.join()) {
    source.dispose();
    const found = weight === undefined ? `no tensor '${FEATURES}'` : `${weight.dtype} [${weight.shape.join(', ')}]`;
    throw new CheckpointError(
      `${shard.path}: the file has ${found}, expected ${dtype} [${shape.join(', ')}]. ` +
        `Fetch it again, or delete it with its index and write the features again: only the rows of this shard are made anew.`,
      shard.path,
    );
  }
  return { source, dataOffset: weight.location.byteOffset, keysHash: metadata.get(KEYS_HASH) };
}
