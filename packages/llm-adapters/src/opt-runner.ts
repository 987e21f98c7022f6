import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import type { PassOptions } from './decoding-session.ts';
import type { ModelWeights } from './model-weights.ts';
import type { OptParams } from './opt-decoder.ts';
import type { InputPositions, PromptLayout } from './prompt.ts';

/** What a whole pass through OPT gives. */
export interface OptForward {
  /** Next-token logits at every position, `[batch, positions, vocab]`; those at padding mean nothing. */
  readonly logits: Tensor3D;
  /** What the head multiplies: after the last norm and projection, `[batch, positions, embeddingWidth]`. */
  readonly features: Tensor3D;
  /** Embeddings with positions, then the output of each layer, `[batch, positions, width]`; on request. */
  readonly hiddenStates?: readonly Tensor3D[];
}

/** Options of a whole pass. */
export interface OptForwardOptions extends PassOptions {
  /** Also return the state after each layer. */
  readonly hiddenStates?: boolean;
}

/** Runs an OPT model: layer by layer from blocks of tensors, or as whole functions in an engine. */
export interface OptRunner extends ModelWeights {
  /** All parameters at once, for synchronous, differentiable code. @throws {ResourceError} when they are not all in memory as tensors. */
  readonly tensors: OptParams;
  /** An empty cache to decode with, the caller's to dispose. */
  openCache(): OptCache;
  /** One pass without a cache. @returns tensors that the caller disposes. */
  forward(layout: PromptLayout, visualPrompt: Tensor3D | undefined, options: OptForwardOptions): Promise<OptForward>;
}

/** What decoding knows of its rows. */
export interface DecodingRows {
  /** Of all positions so far, the new ones last: 1 = real, 0 = padding. `[rows][keys]` */
  readonly mask: readonly (readonly number[])[];
  /** The prompt that each row continues. */
  readonly promptOf: readonly number[];
}

/** The keys and values of the positions so far, and the model that adds to them. */
export interface OptCache {
  /**
   * Sends new positions through the model: the prompts first, then what each row says.
   *
   * @param visualPrompt - `[rows, queries, embeddingWidth]`, if there are queries among them. Stays the caller's.
   * @returns logits after the last position, `[rows, vocab]`, the caller's.
   */
  advance(
    positions: InputPositions,
    visualPrompt: Tensor3D | undefined,
    rows: DecodingRows,
    options: PassOptions,
  ): Promise<Tensor2D>;
  /** Row `i` becomes a copy of the old row `rows[i]`. */
  reorder(rows: readonly number[]): void;
  dispose(): void;
}
