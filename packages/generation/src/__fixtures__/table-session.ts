import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { InputError } from '@blip2/core';
import type { DecodingSession, RunOptions } from '@blip2/core';

/** A small language model: the logits after a text are the sum of a row for its last token and a row for the one before. */
export interface TableModel {
  /** `[vocab, vocab]`: logits by last token. */
  readonly last: readonly (readonly number[])[];
  /** `[vocab, vocab]`: logits by the token before the last; it counts as token 0 where there is none. */
  readonly beforeLast: readonly (readonly number[])[];
}

/** The logits after a text, `[vocab]`. */
export function tableLogits({ last, beforeLast }: TableModel, text: readonly number[]): number[] {
  const recent = beforeLast[text.at(-2) ?? 0]!;
  return last[text.at(-1)!]!.map((logit, id) => logit + recent[id]!);
}

/** What a {@link TableSession} may be told besides its model and prompts. */
export interface TableSessionOptions {
  readonly endTokenIds?: readonly number[];
  readonly usableVocabSize?: number;
  readonly maxNewTokens?: number;
  /** Called at the beginning of each start and step. */
  readonly onRun?: (step: number) => void;
}

/**
 * A `DecodingSession` over a {@link TableModel}. It keeps whole texts in a tensor, as a model keeps its cache, so that a
 * wrong order of rows or a forgotten `dispose` shows.
 */
export class TableSession implements DecodingSession {
  readonly promptIds: readonly (readonly number[])[];
  readonly endTokenIds: readonly number[];
  readonly padTokenId: number = 1;
  readonly usableVocabSize: number;
  readonly maxNewTokens: number;
  /** Rows of logits computed so far. */
  computedRows: number = 0;
  readonly #model: TableModel;
  readonly #onRun: (step: number) => void;
  #texts: Tensor2D | undefined;
  #steps: number = 0;

  constructor(model: TableModel, prompts: readonly (readonly number[])[], options: TableSessionOptions = {}) {
    this.#model = model;
    this.promptIds = prompts;
    this.endTokenIds = options.endTokenIds ?? [2];
    this.usableVocabSize = options.usableVocabSize ?? model.last.length;
    this.maxNewTokens = options.maxNewTokens ?? 1000;
    this.#onRun = options.onRun ?? (() => undefined);
    this.#texts = tf.tensor2d(prompts as number[][], [prompts.length, prompts[0]?.length ?? 0], 'int32'); // [rows, length]
  }

  get rows(): number {
    return this.#open().shape[0];
  }

  start(options?: RunOptions): Promise<Tensor2D> {
    return this.#logits(options);
  }

  async step(tokenIds: readonly number[], options?: RunOptions): Promise<Tensor2D> {
    if (tokenIds.length !== this.rows) throw new InputError(`step: ${tokenIds.length} tokens for ${this.rows} rows`);
    const column = tf.tensor2d([...tokenIds], [tokenIds.length, 1], 'int32');
    this.#replace(tf.concat([this.#open(), column], 1)); // [rows, length + 1]
    column.dispose();
    return this.#logits(options);
  }

  reorder(rows: readonly number[]): void {
    this.#replace(tf.tidy(() => tf.gather(this.#open(), tf.tensor1d([...rows], 'int32')))); // [rows.length, length]
  }

  dispose(): void {
    this.#texts?.dispose();
    this.#texts = undefined;
  }

  async #logits(options?: RunOptions): Promise<Tensor2D> {
    options?.abortSignal?.throwIfAborted();
    this.#onRun(this.#steps++);
    const texts = (await this.#open().array()) as number[][];
    this.computedRows += texts.length;
    return tf.tensor2d(texts.map((text) => tableLogits(this.#model, text))); // [rows, vocab]
  }

  #open(): Tensor2D {
    if (this.#texts === undefined) throw new Error('the session was disposed');
    return this.#texts;
  }

  #replace(texts: Tensor2D): void {
    this.#open().dispose();
    this.#texts = texts;
  }
}

/** A model with logits in ±`spread`, the same for the same source of numbers. */
export function randomTableModel(vocab: number, random: () => number, spread = 3): TableModel {
  const table = (): number[][] => {
    return Array.from({ length: vocab }, () => Array.from({ length: vocab }, () => (random() * 2 - 1) * spread));
  };
  return { last: table(), beforeLast: table() };
}
