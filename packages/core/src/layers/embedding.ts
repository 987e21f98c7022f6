import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { type FusedOperation, runFused } from './fused-kernel.ts';

interface LookupInputs {
  readonly table: Tensor; // [entries, ...]
  readonly ids: Tensor; //   int32, of any shape
}

// A kernel name of its own for the sake of the gradient: that of tf.gather needs a kernel which wasm lacks, and a copy of the table.
const LOOKUP: FusedOperation<LookupInputs, { readonly entries: number }> = {
  kernel: 'EmbeddingLookup',
  inputs: ['table', 'ids'],
  saved: ['ids'],
  compute: ({ table, ids }) => tf.gather(table, ids as Tensor1D), // [shape of ids, ...]
  gradients: (dy, { ids }, { entries }) => ({ table: () => sumRowsById(dy, ids, entries) }),
};

/** Adds each row of dy, `[shape of ids, ...]`, to the row of a table that its id names: `[entries, ...]`. */
function sumRowsById(dy: Tensor, ids: Tensor, entries: number): Tensor {
  const rowShape = dy.shape.slice(ids.rank);
  const rows = tf.reshape(dy, [-1, ...rowShape]); // [ids, ...]
  // ScatterNd first: the plain JavaScript backend looks at every row for every entry in UnsortedSegmentSum.
  if (tf.getKernel(tf.ScatterNd, tf.getBackend()) !== undefined) {
    return tf.scatterND(tf.reshape(ids, [-1, 1]), rows, [entries, ...rowShape] as tf.ShapeMap[tf.Rank]); // [entries, ...]
  }
  return tf.unsortedSegmentSum(rows, tf.reshape(ids, [-1]) as Tensor1D, entries); // [entries, ...]
}

/**
 * Rows of a table by index. Its gradient works on every backend, unlike that of `tf.gather`.
 *
 * @param table - `[entries, width]`
 * @param ids - int32 `[batch, tokens]`
 * @returns `[batch, tokens, width]`
 */
export function embed(table: Tensor2D, ids: Tensor2D): Tensor3D {
  return runFused(LOOKUP, { table, ids }, { entries: table.shape[0] });
}

/**
 * Entries of a batch by index, in any order and repeatedly, with a gradient as that of {@link embed}.
 *
 * @param x - `[batch, ...]`
 * @param rows - int32 `[count]`
 * @returns `[count, ...]`
 */
export function gatherRows<X extends Tensor>(x: X, rows: Tensor1D): X {
  return runFused(LOOKUP, { table: x, ids: rows }, { entries: x.shape[0]! });
}
