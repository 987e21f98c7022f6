import {
  type Described,
  InputError,
  type PromptBatch,
  type TextBatch,
  type TokenBatch,
  type Tokenizer,
  WeightBudget,
  type WeightSource,
} from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor3D } from '@tensorflow/tfjs-core';
import { type LanguageModelOptions, MAX_TEXT_TOKENS, TextModel, type TextLossOptions } from './language-model.ts';
import { assertPrompts, layOutPrompts, type PromptLayout } from './prompt.ts';
import type { T5Config } from './t5-config.ts';
import type { T5Params } from './t5-decoder.ts';
import { T5BlockwiseRunner } from './t5-blockwise-runner.ts';
import { T5EngineRunner } from './t5-engine-runner.ts';
import { t5Loss } from './t5-loss.ts';
import { t5PromptTokens, type T5TrainingTokens, t5TrainingTokens } from './t5-prompt.ts';
import type { T5Forward, T5ForwardOptions, T5Runner } from './t5-runner.ts';
import { T5DecodingSession } from './t5-session.ts';
import { readT5Params } from './t5-weights.ts';
import { assertTexts } from './text-batch.ts';

/** T5 as a language model that takes visual prompts. Make one with {@link createT5} or `loadLanguageModel`. */
export class T5LanguageModel extends TextModel {
  readonly architecture = 'encoder-decoder';
  readonly config: T5Config;
  readonly embeddingWidth: number;
  readonly #runner: T5Runner;
  readonly #imageTokenId: number | undefined;

  /** @param params - Described; nothing is read before `load`. */
  constructor(params: Described<T5Params>, config: T5Config, tokenizer: Tokenizer, options: LanguageModelOptions = {}) {
    const { engine, budget } = options;
    const runner = engine
      ? new T5EngineRunner(params, config, engine)
      : new T5BlockwiseRunner(params, config, budget ?? new WeightBudget());
    super('The T5 language model', tokenizer, runner);
    this.config = config;
    this.embeddingWidth = config.width;
    this.#runner = runner;
    this.#imageTokenId = options.imageTokenId;
  }

  protected override openSession(where: string, visualPrompt: Tensor3D | undefined, prompts: PromptBatch): T5DecodingSession {
    this.assertUsable();
    const { config, tokenizer } = this;
    assertPrompts(where, visualPrompt, prompts, this.embeddingWidth);
    const layout = this.#layOut(visualPrompt, t5PromptTokens(prompts, tokenizer, config));
    const { decoderStartTokenId } = config;
    return new T5DecodingSession(this.#runner.openCaches(), layout, visualPrompt && tf.clone(visualPrompt), decoderStartTokenId, {
      // The prompt is the encoder's; the text that the rules see begins with the decoder's start token.
      promptIds: layout.ids.map(() => [decoderStartTokenId]),
      endTokenIds: config.endTokenIds,
      padTokenId: config.padTokenId,
      usableVocabSize: Math.min(config.vocabSize, tokenizer.vocabSize),
      maxNewTokens: Number.POSITIVE_INFINITY, // positions are relative
    });
  }

  /**
   * One pass over whole sequences, without a cache. An engine prepares it at the first call.
   *
   * @param visualPrompt - `[batch, queries, width]`; `undefined` for text alone.
   * @param tokens - Encoder ids, with or without image placeholders.
   * @param decoderIds - What the decoder reads, the start token first, `[batch][decoder tokens]`.
   * @returns tensors that the caller disposes.
   */
  async forward(
    visualPrompt: Tensor3D | undefined,
    tokens: TokenBatch,
    decoderIds: readonly (readonly number[])[],
    options: T5ForwardOptions = {},
  ): Promise<T5Forward> {
    this.assertUsable();
    assertPrompts('forward', visualPrompt, tokens, this.embeddingWidth);
    this.#assertDecoderRows('forward', tokens, decoderIds);
    const layout = this.#layOut(visualPrompt, tokens);
    return this.#runner.forward(layout, visualPrompt, decoderIds, options);
  }

  /**
   * Mean cross-entropy of the targets, which the decoder writes for the prompts in the encoder.
   *
   * @param visualPrompt - `[batch, queries, width]`; the loss is differentiable in it.
   * @returns a scalar in nats.
   * @throws {ResourceError} when weights stream or lie in an engine: gradients need them all in memory as tensors.
   *
   * Source: BLIP-2 (arXiv 2301.12597), section 3.3; LAVIS `blip2_t5.py`, `forward`.
   */
  override loss(visualPrompt: Tensor3D | undefined, batch: TextBatch, options: TextLossOptions = {}): Scalar {
    assertTexts(batch);
    const { maxTextTokens = MAX_TEXT_TOKENS } = options;
    return this.lossFromTokens(visualPrompt, t5TrainingTokens(batch, this.tokenizer, this.config, maxTextTokens));
  }

  /**
   * Mean cross-entropy of labels; the decoder reads them shifted by one.
   *
   * @param visualPrompt - `[batch, queries, width]`; the loss is differentiable in it.
   * @returns a scalar in nats.
   * @throws {ResourceError} when weights stream or lie in an engine: gradients need them all in memory as tensors.
   */
  lossFromTokens(visualPrompt: Tensor3D | undefined, tokens: T5TrainingTokens): Scalar {
    this.assertUsable();
    assertPrompts('lossFromTokens', visualPrompt, tokens, this.embeddingWidth);
    this.#assertDecoderRows('lossFromTokens', tokens, tokens.labels);
    const layout = this.#layOut(visualPrompt, tokens);
    return t5Loss(this.#runner.tensors, this.config, layout, visualPrompt, tokens);
  }

  #layOut(visualPrompt: Tensor3D | undefined, tokens: TokenBatch): PromptLayout {
    const { padTokenId } = this.config;
    const queries = visualPrompt?.shape[1] ?? 0;
    return layOutPrompts(tokens, { queries, imageTokenId: queries === 0 ? undefined : this.#imageTokenId, padTokenId });
  }

  #assertDecoderRows(where: string, { ids }: TokenBatch, rows: readonly (readonly number[])[]): void {
    const lengths = new Set(rows.map((row) => row.length));
    if (rows.length === ids.length && lengths.size === 1 && !lengths.has(0)) return;
    throw new InputError(
      `${where}: got ${rows.length} decoder rows of ${[...lengths].join(', ')} tokens for ${ids.length} encoder rows, ` +
        `expected as many, all of one length above 0. Pad them.`,
    );
  }
}

/**
 * Makes a T5 language model from weights under their Hugging Face names, alone or inside BLIP-2.
 *
 * Weights that fit `options.budget` are read now and stay in memory; the others are read again for each token, which is
 * slow but correct. With `options.engine` they are the engine's, and it runs the encoder and the decoder as a function each.
 *
 * @param tokenizer - The model keeps a reference.
 * @returns the model, the caller's to dispose.
 * @throws {WeightsError} when names are missing or left over, or shapes differ from the configuration.
 *
 * @example
 * const model = await createT5(randomT5Weights(config), config, tokenizer);
 */
export async function createT5(
  weights: WeightSource,
  config: T5Config,
  tokenizer: Tokenizer,
  options: LanguageModelOptions = {},
): Promise<T5LanguageModel> {
  const params = await readT5Params(weights, config, options.abortSignal);
  const model = new T5LanguageModel(params, config, tokenizer, options);
  await model.load(options);
  return model;
}
