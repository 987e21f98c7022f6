import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import type { PassOptions } from './decoding-session.ts';
import type { ModelWeights } from './model-weights.ts';
import type { PromptLayout } from './prompt.ts';
import type { T5Params } from './t5-decoder.ts';

/** What a whole pass through T5 gives. */
export interface T5Forward {
  /** Next-token logits at every decoder position, `[batch, decoder tokens, vocab]`. */
  readonly logits: Tensor3D;
  /** The encoder's output, `[batch, positions, width]`; what stands at padding means nothing. */
  readonly encoded: Tensor3D;
  /** The decoder's output after its last norm, before the head and its scaling, `[batch, decoder tokens, width]`. */
  readonly decoded: Tensor3D;
  /** Embeddings, then the output of each encoder layer; on request. */
  readonly encoderStates?: readonly Tensor3D[];
  /** Embeddings, then the output of each decoder layer; on request. */
  readonly decoderStates?: readonly Tensor3D[];
}

/** Options of a whole pass. */
export interface T5ForwardOptions extends PassOptions {
  /** Also return the states after each layer. */
  readonly hiddenStates?: boolean;
  /** Of the decoder's ids, 1 = real, `[batch][decoder tokens]`. @default all are */
  readonly decoderMask?: readonly (readonly number[])[];
}

/** Runs a T5 model: layer by layer from blocks of tensors, or as whole functions in an engine. */
export interface T5Runner extends ModelWeights {
  /** All parameters at once, for synchronous, differentiable code. @throws {ResourceError} when they are not all in memory as tensors. */
  readonly tensors: T5Params;
  /** Empty caches to decode with, the caller's to dispose. */
  openCaches(): T5Caches;
  /** One pass without a cache. @returns tensors that the caller disposes. */
  forward(
    layout: PromptLayout,
    visualPrompt: Tensor3D | undefined,
    decoderIds: readonly (readonly number[])[],
    options: T5ForwardOptions,
  ): Promise<T5Forward>;
}

/** What decoding knows of its rows. */
export interface T5DecodingRows {
  /** Decoder positions so far, the new one included. */
  readonly keys: number;
  /** The prompt that each row continues. */
  readonly promptOf: readonly number[];
}

/** Keys and values of the decoder's positions so far and of the encoder's output, and the model that makes them. */
export interface T5Caches {
  /** Runs the encoder; called once, first. @param visualPrompt - Stays the caller's. */
  encode(layout: PromptLayout, visualPrompt: Tensor3D | undefined, options: PassOptions): Promise<void>;
  /** Sends one token a row through the decoder. @returns logits after it, `[rows, vocab]`, the caller's. */
  advance(tokenIds: readonly number[], rows: T5DecodingRows, options: PassOptions): Promise<Tensor2D>;
  /** Row `i` becomes a copy of the old row `rows[i]`. */
  reorder(rows: readonly number[]): void;
  dispose(): void;
}
