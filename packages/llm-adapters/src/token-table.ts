import { embed, InputError, type ParameterBlock, tidy, type Weight } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import type { PassOptions } from './decoding-session.ts';

/** A {@link TokenTable}, whatever block it lies in. */
export type TokenReader = Pick<TokenTable, 'lookUp' | 'tensor'>;

/**
 * Token embeddings by id: gathered from the table where its block is resident, read row by row where it streams, so
 * that a lookup never reads the hundreds of megabytes of a whole table.
 */
export class TokenTable<Tree = unknown> {
  readonly #weight: Weight;
  readonly #block: ParameterBlock<Tree>;
  readonly #select: (params: Tree) => Tensor2D;

  /**
   * @param weight - `[vocab, width]`
   * @param block - The block that holds the table; its owner disposes it.
   * @param select - Finds the table in the block.
   */
  constructor(weight: Weight, block: ParameterBlock<Tree>, select: (params: Tree) => Tensor2D) {
    this.#weight = weight;
    this.#block = block;
    this.#select = select;
  }

  /** The whole table `[vocab, width]`; the block keeps it. @throws {ResourceError} when it is not in memory. */
  get tensor(): Tensor2D {
    return this.#select(this.#block.tensors);
  }

  /** @param ids - `[batch][tokens]` @returns `[batch, tokens, width]`, the caller's. @throws {InputError} for an id outside the table. */
  async lookUp(ids: readonly (readonly number[])[], options: PassOptions = {}): Promise<Tensor3D> {
    assertTokenIds(ids, this.#weight.shape[0]!);
    if (this.#block.resident) return this.#block.use((params) => gatherRows(this.#select(params), ids), options);
    const distinct = [...new Set(ids.flat())];
    const rows = await Promise.all(distinct.map((id) => this.#weight.rows(id, id + 1).read(options)));
    const width = this.#weight.shape[1]!;
    const values = new Float32Array(distinct.length * width);
    rows.forEach((row, index) => values.set(row, index * width));
    const rowOf = new Map(distinct.map((id, index) => [id, index]));
    return tidy(() =>
      gatherRows(
        tf.tensor2d(values, [distinct.length, width]),
        ids.map((row) => row.map((id) => rowOf.get(id)!)),
      ),
    );
  }
}

/** @param vocab - Rows of the model's table. @throws {InputError} for an id outside it. */
export function assertTokenIds(ids: readonly (readonly number[])[], vocab: number): void {
  const unknown = ids.flat().find((id) => !Number.isInteger(id) || id < 0 || id >= vocab);
  if (unknown === undefined) return;
  throw new InputError(
    `Token ids: got ${unknown}, but the model's table has the ids 0 to ${vocab - 1}. Use the tokenizer that belongs to the model.`,
  );
}

/** @returns `[batch, tokens, width]` */
function gatherRows(table: Tensor2D, ids: readonly (readonly number[])[]): Tensor3D {
  return tidy(() => embed(table, tf.tensor2d(ids as number[][], [ids.length, ids[0]!.length], 'int32'))); // [batch, tokens, width]
}
