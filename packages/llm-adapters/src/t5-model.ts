import {
  type Described,
  InputError,
  type PromptBatch,
  runBlocks,
  type RunOptions,
  type TextBatch,
  type TokenBatch,
  type Tokenizer,
  WeightBudget,
  type WeightSource,
  withTensorScope,
} from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor3D } from '@tensorflow/tfjs-core';
import { type LanguageModelOptions, MAX_TEXT_TOKENS, TextModel, type TextLossOptions } from './language-model.ts';
import { assertPrompts, layOutPrompts, placeVisualPrompt, type PromptLayout } from './prompt.ts';
import { placeT5, type T5Blocks, t5Tensors } from './t5-blocks.ts';
import type { T5Config } from './t5-config.ts';
import { t5CrossKeysAndValues, t5DecoderBias, t5DecoderLayer, type T5Params, t5Logits } from './t5-decoder.ts';
import { t5StackOutput } from './t5-encoder.ts';
import { t5Loss } from './t5-loss.ts';
import { t5PromptTokens, type T5TrainingTokens, t5TrainingTokens } from './t5-prompt.ts';
import { encodeWithT5, T5DecodingSession } from './t5-session.ts';
import { readT5Params } from './t5-weights.ts';
import { assertTexts } from './text-batch.ts';

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

/** T5 as a language model that takes visual prompts. Make one with {@link createT5} or `loadLanguageModel`. */
export class T5LanguageModel extends TextModel {
  readonly architecture = 'encoder-decoder';
  readonly config: T5Config;
  readonly embeddingWidth: number;
  readonly #blocks: T5Blocks;
  readonly #imageTokenId: number | undefined;

  /** @param params - Described; nothing is read before `load`. */
  constructor(params: Described<T5Params>, config: T5Config, tokenizer: Tokenizer, options: LanguageModelOptions = {}) {
    const blocks = placeT5(params, options.budget ?? new WeightBudget());
    super('The T5 language model', tokenizer, blocks.all);
    this.config = config;
    this.embeddingWidth = config.width;
    this.#blocks = blocks;
    this.#imageTokenId = options.imageTokenId;
  }

  protected override openSession(where: string, visualPrompt: Tensor3D | undefined, prompts: PromptBatch): T5DecodingSession {
    this.assertUsable();
    const { config, tokenizer } = this;
    assertPrompts(where, visualPrompt, prompts, this.embeddingWidth);
    const layout = this.#layOut(visualPrompt, t5PromptTokens(prompts, tokenizer, config));
    return new T5DecodingSession(this.#blocks, config, layout, visualPrompt && tf.clone(visualPrompt), {
      // The prompt is the encoder's; the text that the rules see begins with the decoder's start token.
      promptIds: layout.ids.map(() => [config.decoderStartTokenId]),
      endTokenIds: config.endTokenIds,
      padTokenId: config.padTokenId,
      usableVocabSize: Math.min(config.vocabSize, tokenizer.vocabSize),
      maxNewTokens: Number.POSITIVE_INFINITY, // positions are relative
    });
  }

  /**
   * One pass over whole sequences, without a cache.
   *
   * @param visualPrompt - `[batch, queries, width]`; `undefined` for text alone.
   * @param tokens - Encoder ids, with or without image placeholders.
   * @param decoderIds - What the decoder reads, the start token first, `[batch][decoder tokens]`.
   * @param options.hiddenStates - Also return the states after each layer.
   * @param options.decoderMask - 1 = real; all by default.
   * @returns tensors that the caller disposes.
   */
  async forward(
    visualPrompt: Tensor3D | undefined,
    tokens: TokenBatch,
    decoderIds: readonly (readonly number[])[],
    options: Pick<RunOptions, 'abortSignal'> & {
      readonly hiddenStates?: boolean;
      readonly decoderMask?: readonly (readonly number[])[];
    } = {},
  ): Promise<T5Forward> {
    this.assertUsable();
    assertPrompts('forward', visualPrompt, tokens, this.embeddingWidth);
    this.#assertDecoderRows('forward', tokens, decoderIds);
    const layout = this.#layOut(visualPrompt, tokens);
    const { config } = this;
    const { decoder, head, headIsTied } = this.#blocks;
    return withTensorScope(async (scope) => {
      const recorder = (states: Tensor3D[]) => (state: Tensor3D) => {
        if (options.hiddenStates) states.push(scope.own(tf.keep(tf.clone(state))));
      };
      const encoderStates: Tensor3D[] = [];
      const decoderStates: Tensor3D[] = [];
      const embedded = scope.own(await this.#blocks.encoderTokens.lookUp(layout.ids, options)); // [batch, positions, width]
      const placed = scope.own(placeVisualPrompt(layout, visualPrompt, embedded)); // [batch, positions, width]
      const encoded = scope.own(await encodeWithT5(this.#blocks, config, placed, layout.mask, options, recorder(encoderStates))); // [batch, positions, width]
      const targets = scope.own(await this.#blocks.decoderTokens.lookUp(decoderIds, options)); // [batch, decoder tokens, width]
      const length = decoderIds[0]!.length;
      const bias = await decoder.stack.use((stack) => {
        return t5DecoderBias(stack, config, { tokens: length, keys: length, mask: options.decoderMask }, layout.mask);
      }, options);
      scope.own(bias.self);
      if (bias.cross) scope.own(bias.cross);
      const record = recorder(decoderStates);
      record(targets);
      const step = (params: Parameters<typeof t5DecoderLayer>[0], state: Tensor3D): Tensor3D => {
        const next = t5DecoderLayer(params, config, state, bias, t5CrossKeysAndValues(params, config, encoded)).hidden;
        record(next);
        return next;
      };
      const hidden = scope.own(await runBlocks(decoder.layers, targets, step, options)); // [batch, decoder tokens, width]
      const decoded = scope.own(await decoder.stack.use((stack) => t5StackOutput(stack, config, hidden), options)); // [batch, decoder tokens, width]
      const logits = await head.use(({ weight }) => t5Logits(weight, decoded, headIsTied && config.scaleTiedHead), options); // [batch, decoder tokens, vocab]
      for (const tensor of [encoded, decoded, ...encoderStates, ...decoderStates]) scope.release(tensor);
      return { logits, encoded, decoded, ...(options.hiddenStates && { encoderStates, decoderStates }) };
    });
  }

  /**
   * Mean cross-entropy of the targets, which the decoder writes for the prompts in the encoder.
   *
   * @param visualPrompt - `[batch, queries, width]`; the loss is differentiable in it.
   * @returns a scalar in nats.
   * @throws {ResourceError} when weights stream: gradients need them all in memory.
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
   * @throws {ResourceError} when weights stream: gradients need them all in memory.
   */
  lossFromTokens(visualPrompt: Tensor3D | undefined, tokens: T5TrainingTokens): Scalar {
    this.assertUsable();
    assertPrompts('lossFromTokens', visualPrompt, tokens, this.embeddingWidth);
    this.#assertDecoderRows('lossFromTokens', tokens, tokens.labels);
    const layout = this.#layOut(visualPrompt, tokens);
    return t5Loss(t5Tensors(this.#blocks), this.config, layout, visualPrompt, tokens);
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
 * slow but correct.
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
