import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, TensorContainer } from '@tensorflow/tfjs-core';
import { nextTurn, ProgressReporter, untilAborted, type RunOptions } from './abort-and-progress.ts';
import { DisposedError, ResourceError } from './errors.ts';
import { sizeOf } from './shapes.ts';
import type { Weight } from './weights.ts';

/**
 * A parameter tree is a plain object or array whose leaves are tensors. `Described<Tree>` is the same tree
 * with lazily described weights at the leaves: what a loader returns before anything is read.
 */
export type Described<Tree> = Tree extends Tensor
  ? Weight
  : Tree extends object
    ? { readonly [Key in keyof Tree]: Described<Tree[Key]> }
    : Tree;

/** All leaves of a parameter tree, described or not, in the order of its keys. */
export function leavesOf(tree: unknown): (Weight | Tensor)[] {
  if (isLeaf(tree)) return [tree];
  if (typeof tree !== 'object' || tree === null) return [];
  return Object.values(tree).flatMap(leavesOf);
}

/** Number of parameters in a tree; a leaf that occurs twice (a tied weight) counts once. */
export function countParameters(tree: unknown): number {
  return [...new Set(leavesOf(tree))].reduce((sum, leaf) => sum + sizeOf(leaf.shape), 0);
}

/** Bytes that a tree takes as float32 tensors. */
export function sizeInMemory(tree: unknown): number {
  return 4 * countParameters(tree);
}

/**
 * Reads a described tree into tensors, several weights at once. A weight that occurs twice becomes one tensor.
 *
 * @returns a tree of new tensors; the caller disposes it with `tf.dispose`.
 * On error or abort nothing stays behind.
 */
export async function materialize<Tree>(
  described: Described<Tree>,
  options: Pick<RunOptions, 'abortSignal'> = {},
): Promise<Tree> {
  options.abortSignal?.throwIfAborted();
  const tensors = new Map<Weight, Tensor>();
  try {
    for (const weights of groupsInReach([...new Set(leavesOf(described) as Weight[])])) {
      const values = await Promise.all(weights.map((weight) => weight.read(options)));
      options.abortSignal?.throwIfAborted();
      weights.forEach((weight, index) => {
        tensors.set(weight, toTensor(weight, values[index]!));
        values[index] = new Float32Array(0); // the copy in tfjs is the only one kept
      });
    }
  } catch (cause) {
    tf.dispose([...tensors.values()]);
    throw cause;
  }
  return replaceLeaves(described, tensors) as Tree;
}

/** Bytes of values that are read at once, before they are handed to the backend: what a block costs beside itself. */
const READ_AT_ONCE_BYTES = 256 * 1024 ** 2;

/** Weights in order, in groups that may be read at once; a weight over the limit is a group alone. */
function groupsInReach(weights: readonly Weight[]): Weight[][] {
  const groups: Weight[][] = [];
  let free = 0;
  for (const weight of weights) {
    const sizeBytes = 4 * sizeOf(weight.shape);
    if (groups.length === 0 || sizeBytes > free) {
      groups.push([]);
      free = READ_AT_ONCE_BYTES;
    }
    groups.at(-1)!.push(weight);
    free -= sizeBytes;
  }
  return groups;
}

function toTensor({ name, shape }: Weight, values: Float32Array | Int32Array): Tensor {
  try {
    return tf.tensor(values, shape.slice(), values instanceof Int32Array ? 'int32' : 'float32');
  } catch (cause) {
    // What the wasm backend says when its heap is full.
    if (!(cause instanceof RangeError)) throw cause;
    throw new ResourceError(
      `The memory of the ${tf.getBackend()} backend is full: there is no room for '${name}' (${(values.byteLength / 1e6).toFixed(0)} MB) ` +
        `beside ${(tf.memory().numBytes / 1e9).toFixed(1)} GB of tensors. Load the model with a smaller weight budget, or take a smaller model.`,
      { cause },
    );
  }
}

function replaceLeaves(tree: unknown, tensors: ReadonlyMap<unknown, Tensor>): unknown {
  if (isLeaf(tree)) return tensors.get(tree);
  if (Array.isArray(tree)) return tree.map((child) => replaceLeaves(child, tensors));
  if (typeof tree !== 'object' || tree === null) return tree;
  return Object.fromEntries(Object.entries(tree).map(([key, child]) => [key, replaceLeaves(child, tensors)]));
}

function isLeaf(value: unknown): value is Weight | Tensor {
  return typeof value === 'object' && value !== null && Array.isArray((value as Weight).shape) && 'dtype' in value;
}

/**
 * How many bytes of weights may stay in the backend's memory at once. A block asks for its share when it is
 * made; a refused block streams: its weights come before each use and go after it.
 */
export class WeightBudget {
  readonly totalBytes: number;
  #reservedBytes = 0;

  /** @param totalBytes - Defaults to what the current backend can hold; see {@link defaultWeightBudget}. */
  constructor(totalBytes: number = defaultWeightBudget(tf.getBackend())) {
    this.totalBytes = totalBytes;
  }

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  /** True, and the bytes are taken, when they still fit. */
  reserve(bytes: number): boolean {
    if (this.#reservedBytes + bytes > this.totalBytes) return false;
    this.#reservedBytes += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#reservedBytes = Math.max(0, this.#reservedBytes - bytes);
  }
}

/**
 * Bytes of weights that a tfjs backend may hold. The wasm heap ends at 4 GiB and aborts the process there, so
 * 1.5 GiB are left for activations, a streamed block and the next one on its way.
 */
export function defaultWeightBudget(backend: string): number {
  return backend === 'wasm' ? 2.5 * 1024 ** 3 : Number.POSITIVE_INFINITY;
}

/** Streamed bytes up to which the next block is read while one computes: two layers of OPT-2.7B, but not of OPT-6.7B. */
const READ_AHEAD_BYTES = 0.75 * 1024 ** 3;

/** Where blocks keep their weights. */
export interface PlacementOptions {
  /** Shared by all parts of a model, so that they do not each take the whole memory. @default a new `WeightBudget()` */
  readonly budget?: WeightBudget;
}

/**
 * The weights of one block of a model: resident for the block's life when the budget has room, streamed
 * otherwise. Model code does not see the difference; it runs inside {@link use}.
 */
export class ParameterBlock<Tree> {
  /** For messages and progress: `vision encoder, block 3`. */
  readonly name: string;
  readonly described: Described<Tree>;
  readonly sizeBytes: number;
  readonly resident: boolean;
  readonly #budget: WeightBudget;
  #loading: Promise<Tree> | undefined;
  /** Ends the reads of `#loading`. */
  #stopLoading: AbortController = new AbortController();
  #tree: Tree | undefined;
  #users = 0;
  #disposed = false;

  constructor(name: string, described: Described<Tree>, budget: WeightBudget) {
    this.name = name;
    this.described = described;
    this.sizeBytes = sizeInMemory(described);
    this.#budget = budget;
    this.resident = budget.reserve(this.sizeBytes);
  }

  /** Reads the weights now, for a resident block; a streamed block reads them when it is used. */
  async load(options: Pick<RunOptions, 'abortSignal'> = {}): Promise<void> {
    if (this.resident) await this.use(() => undefined, options);
    options.abortSignal?.throwIfAborted();
  }

  /**
   * Starts reading a streamed block ahead of its use, so that the file is read while another block computes. Does
   * nothing where the two together would crowd the memory.
   *
   * @param besideBytes - What the block that computes takes, if it streams too.
   */
  prefetch(besideBytes = 0): void {
    if (this.#disposed || this.#tree !== undefined || this.sizeBytes + besideBytes > READ_AHEAD_BYTES) return;
    this.#acquire(undefined).catch(() => undefined); // the error comes again, to the caller, in `use`
  }

  /**
   * Runs `compute` with the block's tensors. It must not keep or dispose them. An abort is answered at once; reads
   * that nobody else waits for are ended.
   * @throws {DisposedError} after `dispose()`.
   */
  async use<Result>(
    compute: (params: Tree) => Result | Promise<Result>,
    options: Pick<RunOptions, 'abortSignal'> = {},
  ): Promise<Result> {
    this.#users++;
    try {
      const tree = await this.#acquire(options.abortSignal);
      options.abortSignal?.throwIfAborted();
      return await compute(tree);
    } finally {
      this.#users--;
      const loaded = this.#tree !== undefined;
      if (this.#users === 0 && (!this.resident || this.#disposed || !loaded)) this.#release();
    }
  }

  /**
   * The tensors of a resident, loaded block, for synchronous and differentiable code. The block keeps them.
   * @throws {ResourceError} when the block streams or is not loaded yet.
   */
  get tensors(): Tree {
    if (this.#disposed) throw new DisposedError(this.name);
    if (this.#tree === undefined) {
      if (this.resident) throw new ResourceError(`${this.name} is not in memory yet. Wait for its load() first.`);
      throw new ResourceError(
        `${this.name} streams its weights (${(this.sizeBytes / 1e6).toFixed(0)} MB), but this computation needs them all in memory. ` +
          `Load the model with a larger weight budget, or on a backend with more memory.`,
      );
    }
    return this.#tree;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.resident) this.#budget.release(this.sizeBytes);
    if (this.#users === 0) this.#release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Lets a prefetched block go that nobody came to use, after an error or an abort. */
  discardPrefetched(): void {
    if (!this.resident && this.#users === 0) this.#release();
  }

  async #acquire(abortSignal: AbortSignal | undefined): Promise<Tree> {
    if (this.#disposed) throw new DisposedError(this.name);
    if (this.#tree !== undefined) return this.#tree;
    // Shared by all who wait, so one caller's abort does not end it; the last one to leave does, in `use`.
    const loading = (this.#loading ??= this.#startLoading());
    let tree: Tree;
    try {
      tree = await untilAborted(loading, abortSignal);
    } catch (cause) {
      if (this.#loading === loading && !abortSignal?.aborted) this.#release();
      throw cause;
    }
    if (this.#disposed || this.#loading !== loading) throw new DisposedError(this.name);
    this.#tree = tree;
    return tree;
  }

  #startLoading(): Promise<Tree> {
    this.#stopLoading = new AbortController();
    return materialize<Tree>(this.described, { abortSignal: this.#stopLoading.signal });
  }

  #release(): void {
    const { loading, tree } = { loading: this.#loading, tree: this.#tree };
    this.#loading = undefined;
    this.#tree = undefined;
    this.#stopLoading.abort();
    if (tree !== undefined) tf.dispose(tree as TensorContainer);
    else loading?.then((late) => tf.dispose(late as TensorContainer)).catch(() => undefined);
  }
}

/**
 * Reads the weights of the resident blocks, one after the other, and reports progress in bytes of memory.
 *
 * @param part - For progress: `vision encoder`.
 * On error or abort all blocks are disposed.
 */
export async function loadBlocks(
  blocks: readonly Pick<ParameterBlock<unknown>, 'resident' | 'sizeBytes' | 'load' | 'dispose'>[],
  part: string,
  options: RunOptions = {},
): Promise<void> {
  const resident = blocks.filter((block) => block.resident);
  const totalBytes = resident.reduce((sum, block) => sum + block.sizeBytes, 0);
  const progress = new ProgressReporter('load', totalBytes, options.onProgress);
  try {
    for (const block of resident) {
      await block.load(options);
      progress.add(part, block.sizeBytes);
    }
    options.abortSignal?.throwIfAborted();
    progress.complete(part);
  } catch (cause) {
    for (const block of blocks) block.dispose();
    throw cause;
  }
}

/** How long {@link runBlocks} computes before it lets timers and pages have their turn: half a frame. */
const TURN_MS = 8;

/**
 * Sends a hidden state through blocks in order, reading the next block's weights while this one computes.
 * Gives way to the event loop once, and then every few milliseconds, so that aborts are heard and pages stay alive.
 *
 * @param hidden - Stays the caller's.
 * @param step - Computes the next hidden state, inside `tf.tidy`.
 * @returns a new tensor, the caller's.
 */
export async function runBlocks<Tree, State extends Tensor>(
  blocks: readonly ParameterBlock<Tree>[],
  hidden: State,
  step: (params: Tree, hidden: State, index: number) => State,
  options: Pick<RunOptions, 'abortSignal'> = {},
): Promise<State> {
  let state = hidden;
  let turnEnds = Number.NEGATIVE_INFINITY;
  try {
    for (const [index, block] of blocks.entries()) {
      if (performance.now() >= turnEnds) {
        await nextTurn();
        turnEnds = performance.now() + TURN_MS;
      }
      const current = state;
      state = await block.use((params) => {
        blocks[index + 1]?.prefetch(block.resident ? 0 : block.sizeBytes);
        return tf.tidy(() => step(params, current, index));
      }, options);
      if (current !== hidden && current !== state) current.dispose();
    }
    return state === hidden ? (tf.clone(hidden) as State) : state;
  } catch (cause) {
    if (state !== hidden) state.dispose();
    for (const block of blocks) block.discardPrefetched();
    throw cause;
  }
}
