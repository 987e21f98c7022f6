import { DisposedError, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';

/** Keys and values of one layer's attention. */
export interface KeysAndValues {
  readonly key: Tensor4D; //   [batch, heads, keys, headWidth]
  readonly value: Tensor4D; // [batch, heads, keys, headWidth]
}

/** The keys and values of all layers, kept from one decoding step to the next. Owns its tensors. */
export class KeyValueCache {
  readonly #layers: (KeysAndValues | undefined)[] = [];
  #disposed = false;

  /**
   * What was last stored for a layer.
   * @throws {DisposedError} after `dispose()`.
   */
  get(layer: number): KeysAndValues | undefined {
    if (this.#disposed) throw new DisposedError('The decoding session');
    return this.#layers[layer];
  }

  /**
   * Takes a layer's keys and values, also out of `tf.tidy`, and disposes the ones before.
   * @throws {DisposedError} after `dispose()`.
   */
  set(layer: number, { key, value }: KeysAndValues): void {
    if (this.#disposed) throw new DisposedError('The decoding session');
    tf.dispose(this.#layers[layer] as { key: Tensor4D; value: Tensor4D } | undefined);
    this.#layers[layer] = { key: tf.keep(key), value: tf.keep(value) };
  }

  /** Row `i` of every layer becomes a copy of the old row `rows[i]`. */
  reorder(rows: readonly number[]): void {
    tidy(() => {
      const indices = tf.tensor1d(rows.slice(), 'int32');
      this.#layers.forEach((kept, layer) => {
        if (kept) this.set(layer, { key: tf.gather(kept.key, indices), value: tf.gather(kept.value, indices) }); // [rows, heads, keys, headWidth]
      });
    });
  }

  dispose(): void {
    this.#disposed = true;
    for (const kept of this.#layers) tf.dispose(kept as { key: Tensor4D; value: Tensor4D } | undefined);
    this.#layers.length = 0;
  }
}

/**
 * The prompts of equally many rows each, as few as possible.
 *
 * @example
 * sharedPrompts([4, 4, 4, 7, 7, 7]); // [4, 7], for three beams each
 * sharedPrompts([4, 4, 7, 7, 7, 7]); // [4, 7, 7], for two each
 */
export function sharedPrompts(promptOf: readonly number[]): number[] {
  const starts = promptOf.flatMap((prompt, row) => (row > 0 && promptOf[row - 1] === prompt ? [] : [row]));
  const runs = starts.map((start, index) => (starts[index + 1] ?? promptOf.length) - start);
  const beams = runs.reduce(greatestCommonDivisor);
  return promptOf.filter((_, row) => row % beams === 0);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
