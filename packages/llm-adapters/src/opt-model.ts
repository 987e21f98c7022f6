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
import type { OptConfig } from './opt-config.ts';
import type { OptParams } from './opt-decoder.ts';
import { OptBlockwiseRunner } from './opt-blockwise-runner.ts';
import { OptEngineRunner } from './opt-engine-runner.ts';
import { optLoss } from './opt-loss.ts';
import { type LabelledTokens, optPromptTokens, optTrainingTokens } from './opt-prompt.ts';
import type { OptForward, OptForwardOptions, OptRunner } from './opt-runner.ts';
import { OptDecodingSession } from './opt-session.ts';
import { readOptParams } from './opt-weights.ts';
import { assertPrompts, layOutPrompts, type PromptLayout } from './prompt.ts';
import { assertTexts } from './text-batch.ts';

/** OPT as a language model that takes visual prompts. Make one with {@link createOpt} or `loadLanguageModel`. */
export class OptLanguageModel extends TextModel {
  readonly architecture = 'decoder-only';
  readonly config: OptConfig;
  readonly embeddingWidth: number;
  readonly #runner: OptRunner;
  readonly #imageTokenId: number | undefined;

  /** @param params - Described; nothing is read before `load`. */
  constructor(params: Described<OptParams>, config: OptConfig, tokenizer: Tokenizer, options: LanguageModelOptions = {}) {
    const { engine, budget } = options;
    const runner = engine
      ? new OptEngineRunner(params, config, engine)
      : new OptBlockwiseRunner(params, config, budget ?? new WeightBudget());
    super('The OPT language model', tokenizer, runner);
    this.config = config;
    this.embeddingWidth = config.embeddingWidth;
    this.#runner = runner;
    this.#imageTokenId = options.imageTokenId;
  }

  protected override openSession(where: string, visualPrompt: Tensor3D | undefined, prompts: PromptBatch): OptDecodingSession {
    this.assertUsable();
    const { config, tokenizer } = this;
    assertPrompts(where, visualPrompt, prompts, this.embeddingWidth);
    const layout = this.#layOut(visualPrompt, optPromptTokens(prompts, tokenizer, config));
    const longest = Math.max(...layout.mask.map((row) => row.reduce((sum, real) => sum + real, 0)));
    if (longest >= config.maxPositions) {
      throw new InputError(
        `${where}: the longest prompt has ${longest} tokens, ${layout.queries} of them the visual prompt, ` +
          `and the model's context has room for ${config.maxPositions} with the new ones. Shorten the prompt.`,
      );
    }
    return new OptDecodingSession(this.#runner.openCache(), layout, visualPrompt && tf.clone(visualPrompt), {
      promptIds: layout.historyIds,
      endTokenIds: config.endTokenIds,
      padTokenId: config.padTokenId,
      usableVocabSize: Math.min(config.vocabSize, tokenizer.vocabSize),
      maxNewTokens: config.maxPositions - longest,
    });
  }

  /**
   * One pass over whole sequences, without a cache. An engine prepares it at the first call.
   *
   * @param visualPrompt - `[batch, queries, embeddingWidth]`; `undefined` for text alone.
   * @param tokens - Ids, padded on any side, with or without image placeholders.
   * @returns tensors that the caller disposes.
   */
  async forward(visualPrompt: Tensor3D | undefined, tokens: TokenBatch, options: OptForwardOptions = {}): Promise<OptForward> {
    this.assertUsable();
    assertPrompts('forward', visualPrompt, tokens, this.embeddingWidth);
    const layout = this.#layOut(visualPrompt, tokens);
    this.#assertFits('forward', layout);
    return this.#runner.forward(layout, visualPrompt, options);
  }

  /**
   * Mean cross-entropy of the targets: each is a text after its prompt, ended by the end token. Prompts carry no loss.
   *
   * @param visualPrompt - `[batch, queries, embeddingWidth]`; the loss is differentiable in it.
   * @returns a scalar in nats.
   * @throws {ResourceError} when weights stream or lie in an engine: gradients need them all in memory as tensors.
   *
   * Source: BLIP-2 (arXiv 2301.12597), section 3.3; LAVIS `blip2_opt.py`, `forward`.
   */
  override loss(visualPrompt: Tensor3D | undefined, batch: TextBatch, options: TextLossOptions = {}): Scalar {
    assertTexts(batch);
    const { maxTextTokens = MAX_TEXT_TOKENS } = options;
    return this.lossFromTokens(visualPrompt, optTrainingTokens(batch, this.tokenizer, this.config, maxTextTokens));
  }

  /**
   * Mean cross-entropy of labels: the logits of a position are for the label of the next one. Queries have none; without
   * a begin token of its own to predict, the last query predicts the first text token, if that has a label.
   *
   * @param visualPrompt - `[batch, queries, embeddingWidth]`; the loss is differentiable in it.
   * @param tokens - With or without image placeholders; labels as long as the ids.
   * @returns a scalar in nats.
   * @throws {ResourceError} when weights stream or lie in an engine: gradients need them all in memory as tensors.
   */
  lossFromTokens(visualPrompt: Tensor3D | undefined, tokens: LabelledTokens): Scalar {
    this.assertUsable();
    assertPrompts('lossFromTokens', visualPrompt, tokens, this.embeddingWidth);
    const layout = this.#layOut(visualPrompt, tokens);
    this.#assertFits('lossFromTokens', layout);
    return optLoss(this.#runner.tensors, this.config, layout, visualPrompt, tokens.labels);
  }

  #layOut(visualPrompt: Tensor3D | undefined, tokens: TokenBatch): PromptLayout {
    const { padTokenId } = this.config;
    const queries = visualPrompt?.shape[1] ?? 0;
    return layOutPrompts(tokens, { queries, imageTokenId: queries === 0 ? undefined : this.#imageTokenId, padTokenId });
  }

  #assertFits(where: string, { mask }: PromptLayout): void {
    const longest = Math.max(...mask.map((row) => row.reduce((sum, real) => sum + real, 0)));
    const { maxPositions } = this.config;
    if (longest <= maxPositions) return;
    throw new InputError(
      `${where}: the longest row has ${longest} tokens, the model's context has room for ${maxPositions}. Shorten it.`,
    );
  }
}

/**
 * Makes an OPT language model from weights under their Hugging Face names, alone or inside BLIP-2.
 *
 * Weights that fit `options.budget` are read now and stay in memory; the others are read again for each token, which is
 * slow but correct. With `options.engine` they are the engine's, and it runs prompts and steps as one function with a cache.
 *
 * @param tokenizer - The model keeps a reference.
 * @returns the model, the caller's to dispose.
 * @throws {WeightsError} when names are missing or left over, or shapes differ from the configuration.
 *
 * @example
 * const model = await createOpt(randomOptWeights(config), config, tokenizer);
 */
export async function createOpt(
  weights: WeightSource,
  config: OptConfig,
  tokenizer: Tokenizer,
  options: LanguageModelOptions = {},
): Promise<OptLanguageModel> {
  const params = await readOptParams(weights, config, options.abortSignal);
  const model = new OptLanguageModel(params, config, tokenizer, options);
  await model.load(options);
  return model;
}
