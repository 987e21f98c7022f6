import { ProgressReporter, ResourceError, type RunOptions, type Weight } from '@blip2/core';
import type { OnnxInitializer } from '../onnx/graph.ts';
import { type ConvertedPart, convertWeight } from './convert-weight.ts';
import { bytesOf, splitQuantized, type WeightRequest, type WeightStore } from './weight-store.ts';

/** What a {@link MemoryWeightStore} may do. */
export interface MemoryWeightStoreOptions {
  /**
   * The most to keep for other graphs that want the same weights, in bytes; what is more is read again for them. A graph that is loaded has
   * a copy of its own.
   * @default 512 MiB
   */
  readonly maxKeptBytes?: number;
  /** The largest weight that a graph can have, in bytes of its form. @default any */
  readonly maxWeightBytes?: number;
  /** The most that all weights of a graph can have. @default any */
  readonly maxGraphBytes?: number;
}

/** A converted weight, and how many graphs that live have it. */
interface KeptWeight {
  readonly parts: readonly ConvertedPart[];
  readonly bytes: number;
  readonly users: number;
}

/** Weights that are read at the same time: enough for a server that answers late. */
const READERS = 4;

/**
 * Weights in JavaScript's memory, for browsers. Each is read and converted once for all graphs that want it in a form, and kept as long as one of them lives, up to a
 * limit.
 */
export class MemoryWeightStore implements WeightStore {
  readonly #options: Required<MemoryWeightStoreOptions>;
  /** Longest unused first. */
  readonly #kept: Map<string, KeptWeight> = new Map();
  readonly #numbers: WeakMap<Weight, number> = new WeakMap();
  #nextNumber = 0;
  #keptBytes = 0;
  /** Calls are one after the other: two graphs that are made at once mostly want the same weights. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor({
    maxKeptBytes = 512 * 2 ** 20,
    maxWeightBytes = Infinity,
    maxGraphBytes = Infinity,
  }: MemoryWeightStoreOptions = {}) {
    this.#options = { maxKeptBytes, maxWeightBytes, maxGraphBytes };
  }

  /** Bytes that are kept for other graphs. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /**
   * @throws {ResourceError} for more bytes than a graph can have, before anything is read, or when memory runs out.
   * @throws {CheckpointError} when a weight cannot be read. @throws {InputError} for values that cannot be quantised.
   */
  place(requests: readonly WeightRequest[], options: RunOptions = {}): Promise<OnnxInitializer[]> {
    const placed = this.#queue.then(() => this.#place(requests.flatMap(splitQuantized), options));
    this.#queue = placed.catch(() => undefined);
    return placed;
  }

  release(requests: readonly WeightRequest[]): void {
    for (const request of requests.flatMap(splitQuantized)) {
      const key = this.#keyOf(request);
      const kept = this.#kept.get(key);
      if (kept === undefined) continue;
      if (kept.users > 1) this.#kept.set(key, { ...kept, users: kept.users - 1 });
      else this.#forget(key, kept);
    }
  }

  async #place(requests: readonly WeightRequest[], options: RunOptions): Promise<OnnxInitializer[]> {
    options.abortSignal?.throwIfAborted();
    this.#assertFits(requests);
    const total = requests.reduce((sum, request) => sum + bytesOf(request), 0);
    const progress = new ProgressReporter('load', total, options.onProgress);
    const found = new Map<string, Promise<readonly ConvertedPart[]>>();
    const partsFor = (request: WeightRequest): Promise<readonly ConvertedPart[]> => {
      const key = this.#keyOf(request);
      const parts = found.get(key) ?? Promise.resolve(this.#kept.get(key)?.parts ?? convert(request, options));
      found.set(key, parts);
      return parts;
    };
    const waiting = [...requests];
    const readOneByOne = async (): Promise<void> => {
      for (let request = waiting.shift(); request !== undefined; request = waiting.shift()) {
        options.abortSignal?.throwIfAborted();
        await partsFor(request);
        progress.add(request.weight.name, bytesOf(request));
      }
    };
    try {
      await Promise.all(Array.from({ length: READERS }, readOneByOne));
    } finally {
      waiting.length = 0; // after an error of one reader the others stop as well
    }
    const initializers: OnnxInitializer[] = [];
    for (const request of requests) {
      const parts = await partsFor(request);
      this.#keep(request, parts);
      parts.forEach(({ type, shape, bytes }, index) => initializers.push({ name: request.names[index]!, type, shape, bytes }));
    }
    for (const [key, kept] of this.#kept) if (this.#keptBytes > this.#options.maxKeptBytes) this.#forget(key, kept);
    if (total > 0) progress.complete('weights');
    return initializers;
  }

  #keep(request: WeightRequest, parts: readonly ConvertedPart[]): void {
    const key = this.#keyOf(request);
    const kept = this.#kept.get(key) ?? { parts, bytes: bytesOf(request), users: 0 };
    this.#forget(key, kept);
    this.#kept.set(key, { ...kept, users: kept.users + 1 });
    this.#keptBytes += kept.bytes;
  }

  #forget(key: string, { bytes }: KeptWeight): void {
    if (this.#kept.delete(key)) this.#keptBytes -= bytes;
  }

  #keyOf({ weight, form }: WeightRequest): string {
    let number = this.#numbers.get(weight);
    if (number === undefined) this.#numbers.set(weight, (number = this.#nextNumber++));
    return `${number} ${JSON.stringify(form)}`;
  }

  #assertFits(requests: readonly WeightRequest[]): void {
    const { maxWeightBytes, maxGraphBytes } = this.#options;
    const cure = "Use a smaller number format (dtype: 'int8' or 'int4'), a smaller model, or another provider.";
    const tooLarge = requests.find((request) => bytesOf(request) > maxWeightBytes);
    if (tooLarge !== undefined) {
      throw new ResourceError(
        `The weight '${tooLarge.weight.name}' has ${bytesOf(tooLarge)} bytes, expected at most ${maxWeightBytes}, the largest that this GPU device takes. ${cure}`,
      );
    }
    const total = requests.reduce((sum, request) => sum + bytesOf(request), 0);
    if (total <= maxGraphBytes) return;
    throw new ResourceError(
      `The weights of one function have ${total} bytes, expected less than ${maxGraphBytes}, all that WebAssembly can address. ${cure}`,
    );
  }
}

async function convert({ weight, form }: WeightRequest, options: RunOptions): Promise<ConvertedPart[]> {
  try {
    return await convertWeight(weight, form, options);
  } catch (cause) {
    // "Array buffer allocation failed", "Invalid typed array length": what engines say when there is no memory.
    if (!(cause instanceof RangeError)) throw cause;
    throw new ResourceError(
      `The weight '${weight.name}' could not be read: memory ran out (${cause.message}). Close other pages, or use a smaller model.`,
      { cause },
    );
  }
}
