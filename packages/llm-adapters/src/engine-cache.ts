import { DisposedError, type Engine, type EngineTensor, type HostTensor } from '@blip2/core';
import { sharedPrompts } from './key-value-cache.ts';

/** Keys and values of one layer's attention, where the engine computed them. */
export interface EngineKeysAndValues {
  readonly key: EngineTensor; //   [batch, heads, keys, headWidth]
  readonly value: EngineTensor; // [batch, heads, keys, headWidth]
}

/** What an engine takes for a cache without positions. */
export function emptyKeysAndValues(
  layers: number,
  [batch, heads, headWidth]: readonly [batch: number, heads: number, headWidth: number],
): { readonly key: HostTensor; readonly value: HostTensor }[] {
  const empty: HostTensor = { shape: [batch, heads, 0, headWidth], data: new Float32Array(0) };
  return Array.from({ length: layers }, () => ({ key: empty, value: empty }));
}

/**
 * Keys and values of all layers, kept in an engine from one decoding step to the next. Owns its tensors.
 *
 * A new order of rows is noted and carried out before the next use, all at once, if it is one: beams that stay where
 * they are cost nothing. Tensors that a pass reads stay until it has ended, also when `dispose` comes before.
 */
export class EngineCache {
  readonly #engine: Engine;
  #layers: EngineKeysAndValues[] = [];
  /** Row `i` is to be the stored row `rows[i]`; `undefined` when they are in order. */
  #rows: readonly number[] | undefined;
  #busy = false;
  #disposed = false;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /**
   * Runs `compute` with what is stored, its rows in order; nothing at first.
   * @throws {DisposedError} after `dispose()`.
   */
  async use<Result>(compute: (layers: readonly EngineKeysAndValues[]) => Promise<Result>): Promise<Result> {
    if (this.#disposed) throw new DisposedError('The decoding session');
    this.#busy = true;
    try {
      await this.#putInOrder();
      return await compute(this.#layers);
    } finally {
      this.#busy = false;
      if (this.#disposed) this.#free();
    }
  }

  /** Takes other keys and values, also within `use` when the present ones have been read, and disposes those. */
  replace(layers: readonly EngineKeysAndValues[]): void {
    this.#free();
    this.#layers = [...layers];
    if (this.#disposed && !this.#busy) this.#free();
  }

  /** Row `i` of every layer becomes a copy of the old row `rows[i]`. */
  reorder(rows: readonly number[]): void {
    const before = this.#rows;
    this.#rows = before === undefined ? rows : rows.map((row) => before[row]!);
  }

  dispose(): void {
    this.#disposed = true;
    if (!this.#busy) this.#free();
  }

  async #putInOrder(): Promise<void> {
    const rows = this.#rows;
    const layers = this.#layers;
    this.#rows = undefined;
    if (rows === undefined || layers.length === 0) return;
    if (rows.length === layers[0]!.key.shape[0] && rows.every((row, index) => row === index)) return;
    // One after the other, so that no more than one tensor is there twice.
    for (const [index, { key, value }] of layers.entries()) {
      const orderedKey = await this.#engine.gatherRows(key, rows);
      layers[index] = { key: orderedKey, value };
      key.dispose();
      layers[index] = { key: orderedKey, value: await this.#engine.gatherRows(value, rows) };
      value.dispose();
    }
  }

  #free(): void {
    for (const { key, value } of this.#layers) {
      key.dispose();
      value.dispose();
    }
    this.#layers = [];
  }
}

/**
 * Keys and values of prompts in an engine, there once for all beams of a prompt: the stored row `i` belongs to as many rows of the
 * decoding, one after the other, as every other stored row.
 */
export class PromptCache {
  readonly #cache: EngineCache;
  /** The prompt of each stored row. */
  #prompts: readonly number[] = [];

  constructor(engine: Engine) {
    this.#cache = new EngineCache(engine);
  }

  /** Takes the keys and values of prompts 0, 1, …, new tensors. */
  replace(layers: readonly EngineKeysAndValues[], prompts: number): void {
    this.#cache.replace(layers);
    this.#prompts = Array.from({ length: prompts }, (_, prompt) => prompt);
  }

  /**
   * Runs `compute` with what is stored for rows that continue these prompts; nothing before {@link replace}.
   *
   * @param promptOf - The prompt of each row of the decoding.
   * @throws {DisposedError} after `dispose()`.
   */
  use<Result>(
    promptOf: readonly number[],
    compute: (layers: readonly EngineKeysAndValues[]) => Promise<Result>,
  ): Promise<Result> {
    const wanted = sharedPrompts(promptOf);
    if (this.#prompts.length > 0 && wanted.join() !== this.#prompts.join()) {
      this.#cache.reorder(wanted.map((prompt) => this.#prompts.indexOf(prompt)));
      this.#prompts = wanted;
    }
    return this.#cache.use(compute);
  }

  dispose(): void {
    this.#cache.dispose();
  }
}
