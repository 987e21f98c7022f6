import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D } from '@tensorflow/tfjs-core';
import { InputError } from '../errors.ts';
import { tidy } from '../tensor-scope.ts';
import { detached } from './detached.ts';
import { type FusedOperation, runFused } from './fused-kernel.ts';

/**
 * Sets entries to 0 by chance and makes the others larger by as much, so that the mean stays. Each call takes other entries.
 *
 * Functions of training take one as an optional argument; without it they compute what inference computes.
 *
 * @param x - Any shape; kept.
 * @returns a new tensor of the same shape, the caller's.
 */
export type Dropout = <X extends Tensor>(x: X) => X;

/**
 * Dropout from uniform numbers that the caller drew, so that a seed decides, and a resumed run drops what an uninterrupted one
 * would have dropped. There is no generator in the graph: eager code and a compiled graph compare the same numbers, to the bit.
 *
 * Numbers for every entry of a training step would be tens of millions, so that all calls share one pool. Call `s` reads a window
 * of the pool that begins at a place of its own; places of successive calls follow the golden ratio, which keeps them far
 * apart. Windows of one step overlap: where they do, one mask is the other one shifted by a constant, so that the same entry of two
 * tensors has independent masks, but two entries at that distance have the same. Nothing in a transformer relates entries by such
 * distances, and the next step has new numbers; what counts, the share and the independence at each entry and from step to step, holds.
 *
 * @param pool - Uniform numbers in [0, 1], at least as many as the largest tensor has entries, and some more: see
 *   {@link dropoutPoolSize}. Kept; it has to live as long as the function is used.
 * @param rate - The share of entries that are dropped, in [0, 1).
 * @returns a function that counts its calls: make one for each step, and call it in the same order each time.
 * @throws {InputError} for a rate that leaves nothing. The function throws one for a tensor larger than the pool.
 *
 * @example
 * const dropout = dropoutFrom(batch.dropout, 0.1);
 * const hidden = tf.add(x, dropout(linear(params, x)));
 *
 * Source: Dropout (JMLR 15, 2014), in the inverted form of `torch.nn.functional.dropout`.
 */
export function dropoutFrom(pool: Tensor1D, rate: number): Dropout {
  if (!(rate >= 0 && rate < 1)) {
    throw new InputError(`dropoutFrom: the rate is ${rate}, expected 0 or more and less than 1. Leave dropout out for none.`);
  }
  let calls = 0;
  return <X extends Tensor>(x: X): X => {
    const begin = windowBegin(calls++, pool.size - x.size);
    if (pool.size < x.size) {
      throw new InputError(
        `dropout: a tensor [${x.shape.join(', ')}] has ${x.size} entries, and the pool ${pool.size} numbers, expected at least as many. ` +
          `Draw ${dropoutPoolSize(x.size)} numbers or more; see dropoutPoolSize.`,
      );
    }
    return tidy(() => {
      // Eager code keeps the mask for the gradient as booleans, a byte each, and not the pool, which some backends would copy.
      const kept = detached(() => tf.reshape(tf.greaterEqual(tf.slice(pool, [begin], [x.size]), rate), x.shape));
      return runFused<DropoutInputs, DropoutAttributes, X>(DROPOUT, { x, kept }, { scale: 1 / (1 - rate) });
    });
  };
}

/** The tensor, with dropout where there is one. */
export function applyDropout<X extends Tensor>(dropout: Dropout | undefined, x: X): X {
  return dropout === undefined ? x : dropout(x);
}

/**
 * How many numbers {@link dropoutFrom} should have: those of the largest tensor, and room for windows to begin at different places.
 *
 * @param largest - Entries of the largest tensor that is dropped from.
 */
export function dropoutPoolSize(largest: number): number {
  return largest + Math.max(LEAST_ROOM, Math.ceil(largest / 4));
}

/** Room for the windows of a small model: hundreds of calls begin at different places, and far enough apart. */
const LEAST_ROOM = 65_536;

/** The part of the golden ratio after the point: its multiples fill [0, 1) more evenly than those of any other number. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** Where the window of a call begins. @param room - The last place where it may. */
function windowBegin(call: number, room: number): number {
  return Math.floor(((call * GOLDEN) % 1) * (room + 1));
}

interface DropoutInputs {
  readonly x: Tensor;
  readonly kept: Tensor; //                      bool, of x's shape
}

interface DropoutAttributes {
  readonly scale: number;
}

const DROPOUT: FusedOperation<DropoutInputs, DropoutAttributes> = {
  kernel: 'Dropout',
  inputs: ['x', 'kept'],
  saved: ['kept'],
  compute: ({ x, kept }, { scale }) => masked(x, kept, scale),
  gradients: (dy, { kept }, { scale }) => ({ x: () => masked(dy, kept, scale) }),
};

function masked(x: Tensor, kept: Tensor, scale: number): Tensor {
  return tf.mul(x, tf.mul(tf.cast(kept, 'float32'), scale));
}
