import type { RunOptions, TokenBatch } from '@blip2/core';
import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import type { QFormerHeadParams } from './heads.ts';

/** For messages and progress. */
export const PART = 'Q-Former';

/** What a pass reads: an image, a text, or both. One image may stand before many texts. */
export interface PassInputs {
  readonly imageFeatures?: Tensor3D; //          [images, tokens, imageFeatureWidth]
  readonly text?: TokenBatch;
}

/** What to give of a pass besides its output. */
export interface WantedOutputs {
  readonly layers?: boolean;
  readonly attention?: boolean;
}

/** Results of a pass; empty lists for what was not wanted. */
export interface PassOutputs {
  readonly output: Tensor3D; //                  [batch, queries, width] where there is an image, else [batch, tokens, width]
  readonly layers: readonly Tensor3D[]; //       [0] the embeddings, [i] the output of layer i − 1; queries before text
  readonly attention: readonly Tensor4D[]; //    [batch, heads, queries, imageTokens] for each layer with cross-attention
}

/** Heads that are one linear function of rows. */
export type ProjectionName = 'promptProjection' | 'imageProjection' | 'textProjection';

/**
 * What runs a Q-Former's layers: it holds the weights and is given inputs that were checked, of parts that there are.
 * Tensors passed are kept; tensors returned are the caller's.
 */
export interface QFormerRunner {
  /** Reads what must be there before the first call. On error or abort nothing stays behind. */
  load(options: RunOptions): Promise<void>;
  runPass(inputs: PassInputs, wanted: WantedOutputs, options: RunOptions): Promise<PassOutputs>;
  /** @returns `[texts, 2]` */
  match(imageFeatures: Tensor3D, text: TokenBatch, options: RunOptions): Promise<Tensor2D>;
  /** @param rows - `[batch, rows, width]` @returns `[batch, rows, …]` */
  project(name: ProjectionName & keyof QFormerHeadParams, rows: Tensor3D, options: RunOptions): Promise<Tensor3D>;
  /** Lets the queries read images, for captions. */
  startCaptions(imageFeatures: Tensor3D, options: RunOptions): Promise<CaptionCache>;
  dispose(): void;
}

/** Keys and values of queries and of captions so far, one row a caption. One call at a time. */
export interface CaptionCache {
  /**
   * Appends one token to every row, unless it fails.
   * @param position - The tokens' place in the captions. @returns next-token logits `[rows, vocab]`
   */
  read(tokenIds: readonly number[], position: number, options: RunOptions): Promise<Tensor2D>;
  /** Row `i` becomes a copy of the old row `rows[i]`. */
  reorder(rows: readonly number[]): void;
  dispose(): void;
}
