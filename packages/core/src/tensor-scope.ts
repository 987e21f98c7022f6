import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';

/** Owns the tensors made on the way through asynchronous code, where `tf.tidy` cannot reach. */
export class TensorScope {
  readonly #owned: Set<Tensor> = new Set();

  /** Takes a tensor: it is disposed when the scope ends. */
  own<T extends Tensor>(tensor: T): T {
    this.#owned.add(tensor);
    return tensor;
  }

  /** Gives a tensor up to the caller: the scope's end leaves it alone. */
  release<T extends Tensor>(tensor: T): T {
    this.#owned.delete(tensor);
    return tensor;
  }

  /** Disposes a tensor now. */
  drop(tensor: Tensor): void {
    this.#owned.delete(tensor);
    tensor.dispose();
  }

  end(): void {
    for (const tensor of this.#owned) tensor.dispose();
    this.#owned.clear();
  }
}

/**
 * `tf.tidy` for asynchronous code: whatever `run` gave to the scope and did not release is disposed at the end,
 * also after an error or an abort.
 *
 * @example
 * const sum = await withTensorScope(async (scope) => {
 *   const features = scope.own(await encoder.encode(images));
 *   return tf.sum(features); // not owned by the scope: the caller's
 * });
 */
export async function withTensorScope<Result>(run: (scope: TensorScope) => Promise<Result>): Promise<Result> {
  const scope = new TensorScope();
  try {
    return await run(scope);
  } finally {
    scope.end();
  }
}

/** Runs synchronous tensor code in `tf.tidy` and types its result, which may be any container of tensors. */
export function tidy<Result>(compute: () => Result): Result {
  return tf.tidy(compute as () => tf.TensorContainer) as Result;
}
