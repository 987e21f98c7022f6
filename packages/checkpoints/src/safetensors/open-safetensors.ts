import type { Weight, WeightSource } from '@blip2/core';
import type { ByteSource, ReadOptions } from '../bytes/byte-source.ts';
import { readSafetensorsHeader } from './safetensors-header.ts';
import { storedWeight } from './stored-weight.ts';

/** An open safetensors file: its weights by name, described and not read. */
export interface SafetensorsFile extends WeightSource, Disposable {
  /** The `__metadata__` map of the header. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Closes the file; weights of it cannot be read afterwards. Idempotent. */
  dispose(): void;
}

/**
 * Opens a safetensors file: reads and checks its header, and describes its weights.
 *
 * Only the header is read. Each weight reads its own bytes when asked.
 *
 * @param source - Owned by the result: its `dispose()` disposes the source. When opening fails it is disposed too.
 * @throws {CheckpointError} when the file breaks a rule of the format.
 *
 * @example
 * const file = await openSafetensors(byteSourceFromBytes('model.safetensors', bytes));
 * const weight = file.get('query_tokens'); // { dtype: 'F32', shape: [1, 32, 768], … }
 * const values = await weight?.read(); //     Float32Array(24576)
 * file.dispose();
 *
 * Source: https://github.com/huggingface/safetensors, README, section "Format".
 */
export async function openSafetensors(source: ByteSource, options: ReadOptions = {}): Promise<SafetensorsFile> {
  try {
    const { metadata, tensors } = await readSafetensorsHeader(source, options);
    const weights = new Map<string, Weight>();
    for (const [name, entry] of tensors) {
      weights.set(name, storedWeight(source, name, entry.dtype, entry.shape, entry.byteOffset));
    }
    const dispose = (): void => source.dispose();
    return {
      name: source.name,
      names: [...weights.keys()],
      metadata,
      get: (name) => weights.get(name),
      dispose,
      [Symbol.dispose]: dispose,
    };
  } catch (cause) {
    source.dispose();
    throw cause;
  }
}
