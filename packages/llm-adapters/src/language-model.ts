import {
  type DecodingSession,
  DisposedError,
  type EngineOptions,
  type GeneratedToken,
  type GenerateOptions,
  type Generation,
  type LanguageModel,
  type PlacementOptions,
  type PromptBatch,
  type RunOptions,
  type TextBatch,
  type Tokenizer,
} from '@blip2/core';
import { generate, streamTokens } from '@blip2/generation';
import { createTextStream } from '@blip2/tokenizers';
import type { Scalar, Tensor3D } from '@tensorflow/tfjs-core';
import type { ModelWeights } from './model-weights.ts';
import { TrimmedText } from './trimmed-text.ts';

/**
 * Options of every way to make a language model. With an `engine`, prompts and steps run in it as whole functions and the weights are
 * its own: `budget` has no effect, and there are no gradients.
 */
export interface LanguageModelOptions extends PlacementOptions, EngineOptions, RunOptions {
  /**
   * The id that stands for a query in ids that a processor made: `image_token_index` of a BLIP-2 `config.json`. Without
   * one, as in checkpoints before November 2024, queries go in front of the ids.
   */
  readonly imageTokenId?: number;
}

/** Options of the losses on text. */
export interface TextLossOptions {
  /** Texts are cut to this many tokens, queries not counted. @default 32, as in the original training */
  readonly maxTextTokens?: number;
}

/** Tokens of the text in the original training: `max_txt_len`. Source: LAVIS `blip2_opt.py`, `blip2_t5.py`. */
export const MAX_TEXT_TOKENS = 32;

/** What OPT and T5 have in common: texts in and out, streaming, loading, disposal. */
export abstract class TextModel implements LanguageModel {
  abstract readonly architecture: LanguageModel['architecture'];
  abstract readonly embeddingWidth: number;
  readonly tokenizer: Tokenizer;
  /** Number of parameters; a tied matrix counts once. */
  readonly parameterCount: number;
  readonly #name: string;
  readonly #weights: ModelWeights;
  #disposed = false;

  /** @param weights - The model's, from now on. */
  constructor(name: string, tokenizer: Tokenizer, weights: ModelWeights) {
    this.#name = name;
    this.tokenizer = tokenizer;
    this.#weights = weights;
    this.parameterCount = weights.parameterCount;
  }

  /** Bytes of weights that are read again for each pass, because they did not fit the budget; none in an engine. */
  get streamedBytes(): number {
    return this.#weights.streamedBytes;
  }

  /**
   * Writes texts.
   *
   * @param visualPrompt - `[batch, queries, embeddingWidth]`; `undefined` for text alone. Stays the caller's.
   * @param prompts - One text an image, or ids that somebody else tokenised; an empty string stands for none.
   * @param options - Decoding, see `GenerateOptions` of `@blip2/core`.
   * @returns for each image `returnSequences` texts, best first.
   * @throws {InputError} when prompts and images do not fit, or prompt and new tokens do not fit the model's context;
   * before any work.
   * @throws {ShapeError} when the visual prompt has another width.
   *
   * @example
   * const [[{ text }]] = await model.generate(visualPrompt, ['Question: what is this? Answer:'], { beams: 5 });
   */
  async generate(
    visualPrompt: Tensor3D | undefined,
    prompts: PromptBatch,
    options: GenerateOptions & RunOptions = {},
  ): Promise<Generation[][]> {
    const session = this.openSession('generate', visualPrompt, prompts);
    try {
      const texts = await generate(session, options);
      return texts.map((sequences) =>
        sequences.map(({ tokenIds, score }) => ({
          tokenIds,
          text: this.tokenizer.decode(tokenIds).trim(),
          ...(score !== undefined && { score }),
        })),
      );
    } finally {
      session.dispose();
    }
  }

  /**
   * Writes one text, token by token, greedily or by sampling. Leaving the loop early frees everything.
   *
   * No piece ends within a character or with white space; the joined pieces are the text that `generate` gives, but for a last
   * character that stays incomplete, which is left out.
   *
   * @param visualPrompt - `[1, queries, embeddingWidth]`; `undefined` for text alone. Read when the first token is
   * asked for.
   * @yields each token when it is decided, with the text it completes.
   *
   * @example
   * for await (const { text } of model.stream(visualPrompt, 'a photo of')) process.stdout.write(text);
   */
  async *stream(
    visualPrompt: Tensor3D | undefined,
    prompt: string,
    options: GenerateOptions & RunOptions = {},
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const session = this.openSession('stream', visualPrompt, [prompt]);
    try {
      const decoded = createTextStream(this.tokenizer);
      const trimmed = new TrimmedText();
      for await (const tokenId of streamTokens(session, options)) {
        yield { tokenId, text: trimmed.push(decoded.push(tokenId)) };
      }
    } finally {
      session.dispose();
    }
  }

  /**
   * Prompts on their way to text, for a search of one's own. Nothing is computed yet.
   *
   * @param visualPrompt - `[batch, queries, embeddingWidth]`; `undefined` for text alone. Stays the caller's, who may
   * dispose it at once.
   * @returns a session of one row a prompt, the caller's to dispose.
   */
  startDecoding(visualPrompt: Tensor3D | undefined, prompts: PromptBatch): DecodingSession {
    return this.openSession('startDecoding', visualPrompt, prompts);
  }

  abstract loss(visualPrompt: Tensor3D | undefined, batch: TextBatch, options?: TextLossOptions): Scalar;

  /** Reads the weights that stay in memory, or prepares the functions in the engine; on error or abort the model is disposed. */
  async load(options: RunOptions = {}): Promise<void> {
    try {
      await this.#weights.load(options);
    } catch (cause) {
      this.dispose();
      throw cause;
    }
  }

  dispose(): void {
    this.#disposed = true;
    this.#weights.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @param where - The function that was called, for messages. */
  protected abstract openSession(where: string, visualPrompt: Tensor3D | undefined, prompts: PromptBatch): DecodingSession;

  /** @throws {DisposedError} after `dispose()`. */
  protected assertUsable(): void {
    if (this.#disposed) throw new DisposedError(this.#name);
  }
}
