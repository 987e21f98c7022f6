import type { Tensor2D } from '@tensorflow/tfjs-core';
import type { RunOptions } from './abort-and-progress.ts';
import type { TokenBatch } from './tokens.ts';

/** How text is decoded. Lengths count new tokens only, the end token included. */
export interface GenerateOptions {
  /** @default 30 */
  readonly maxNewTokens?: number;
  /** The end tokens are forbidden before this many new tokens. @default 0 */
  readonly minNewTokens?: number;
  /** 1 is greedy search (or sampling). @default 1 */
  readonly beams?: number;
  /** Beam score = Σ log p / length^lengthPenalty: above 0 favours long, below 0 short texts. @default 1 */
  readonly lengthPenalty?: number;
  /**
   * When beam search stops: `true` as soon as `beams` texts ended; `false` when no running beam looks better than
   * the worst of them at its present length; `'never'` when none could at any length. @default false
   */
  readonly earlyStopping?: boolean | 'never';
  /** How many texts to return for one prompt; at most `beams` in beam search. @default 1 */
  readonly returnSequences?: number;
  /** Divides the score of tokens that already occurred by this (multiplies it where negative). 1 is off. @default 1 */
  readonly repetitionPenalty?: number;
  /** No n-gram of this size occurs twice. 0 is off. @default 0 */
  readonly noRepeatNgramSize?: number;
  /**
   * What the repetition and n-gram rules count as said before: the prompt and the new tokens, as in Hugging Face
   * transformers (image placeholders included), or the new tokens only, as in the original BLIP-2 code, which
   * passed embeddings. @default 'prompt'
   */
  readonly historyScope?: 'prompt' | 'new-tokens';
  /** Draw tokens at random instead of taking the best. */
  readonly sampling?: SamplingOptions;
  /** Replaces the model's own end tokens. */
  readonly endTokenIds?: readonly number[];
}

/** Random decoding, applied in this order: temperature, top-k, top-p. */
export interface SamplingOptions {
  /** Divides the logits; below 1 sharpens. @default 1 */
  readonly temperature?: number;
  /** Keeps the k most likely tokens; 0 keeps all. @default 0 */
  readonly topK?: number;
  /** Keeps the smallest set of tokens whose probability reaches p; 1 keeps all. @default 1 */
  readonly topP?: number;
  /** The same seed gives the same text. @default 0 */
  readonly seed?: number;
}

/** One generated text. */
export interface Generation {
  /** The new tokens, without the end token and padding. */
  readonly tokenIds: readonly number[];
  /** The tokens as text, special tokens skipped, surrounding white space stripped. */
  readonly text: string;
  /** Beam search only: Σ log p / length^lengthPenalty, the end token included. */
  readonly score?: number;
}

/** A token as it is decided, from a streaming call. */
export interface GeneratedToken {
  readonly tokenId: number;
  /** The text that this token adds; empty while a character is incomplete. */
  readonly text: string;
}

/**
 * A prompt on its way to text: the model side of decoding. Rows are independent sequences; the search
 * algorithms of `@blip2/generation` drive it and know no tensors beyond the logits.
 */
export interface DecodingSession {
  /** Rows at present: prompts, or prompts × beams after {@link DecodingSession.reorder}. */
  readonly rows: number;
  /** What each row's prompt looks like to the repetition and n-gram rules with `historyScope: 'prompt'`. */
  readonly promptIds: readonly (readonly number[])[];
  readonly endTokenIds: readonly number[];
  readonly padTokenId: number;
  /** Ids from here on exist in the logits but not in the tokenizer. Sampling never draws them; searches take them, as the reference does. */
  readonly usableVocabSize: number;
  /** How many new tokens fit into the model's context. */
  readonly maxNewTokens: number;
  /** Runs the prompt. @returns next-token logits `[rows, vocab]`, the caller's. Called once, first. */
  start(options?: RunOptions): Promise<Tensor2D>;
  /** Appends one token to every row. @returns next-token logits `[rows, vocab]`, the caller's. */
  step(tokenIds: readonly number[], options?: RunOptions): Promise<Tensor2D>;
  /** Row `i` becomes a copy of the old row `rows[i]`; the number of rows may change. */
  reorder(rows: readonly number[]): void;
  dispose(): void;
}

/** A batch of texts with the loss's targets. */
export interface TextBatch {
  /** Texts that condition the model and carry no loss; empty strings for none. */
  readonly prompts: readonly string[];
  /** Texts to be predicted. */
  readonly targets: readonly string[];
}

/** Prompts as text, or as ids that somebody else tokenised. */
export type PromptBatch = readonly string[] | TokenBatch;
