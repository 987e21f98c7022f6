import { runBlocks, type TensorScope, tidy, withTensorScope } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { CachedSession, type PassOptions, type SessionFacts } from './decoding-session.ts';
import { KeyValueCache } from './key-value-cache.ts';
import { type PromptLayout, placeVisualPrompt } from './prompt.ts';
import type { T5Blocks } from './t5-blocks.ts';
import type { T5Config } from './t5-config.ts';
import { t5CrossKeysAndValues, t5DecoderBias, t5DecoderLayer, t5Logits } from './t5-decoder.ts';
import { t5EncoderBias, t5EncoderLayer, t5StackOutput } from './t5-encoder.ts';

/**
 * The encoder with weights that may stream.
 *
 * @param embeddings - `[batch, tokens, width]`, visual prompt included.
 * @param onLayer - Sees the input of each layer and the output of the last.
 * @returns `[batch, tokens, width]`, the caller's.
 */
export async function encodeWithT5(
  { encoder }: T5Blocks,
  config: T5Config,
  embeddings: Tensor3D,
  mask: readonly (readonly number[])[],
  options: PassOptions,
  onLayer?: (hidden: Tensor3D) => void,
): Promise<Tensor3D> {
  return withTensorScope(async (scope) => {
    const bias = scope.own(await encoder.stack.use((stack) => t5EncoderBias(stack, config, mask), options)); // [batch, heads, tokens, tokens]
    onLayer?.(embeddings);
    const step = (params: Parameters<typeof t5EncoderLayer>[0], state: Tensor3D): Tensor3D => {
      const next = t5EncoderLayer(params, config, state, bias);
      onLayer?.(next);
      return next;
    };
    const hidden = scope.own(await runBlocks(encoder.layers, embeddings, step, options)); // [batch, tokens, width]
    return encoder.stack.use((stack) => t5StackOutput(stack, config, hidden), options);
  });
}

/** Decoding with T5: the encoder once, then the decoder with a cache of its own tokens and one of the encoder's output. */
export class T5DecodingSession extends CachedSession {
  readonly #blocks: T5Blocks;
  readonly #config: T5Config;
  readonly #layout: PromptLayout;
  #visualPrompt: Tensor3D | undefined;
  /** The prompt that each row continues. */
  #promptOf: readonly number[];
  /** Decoder tokens so far. */
  #length = 0;
  readonly #selfCache: KeyValueCache = new KeyValueCache();
  readonly #crossCache: KeyValueCache = new KeyValueCache();

  /** @param visualPrompt - The session's from now on. */
  constructor(blocks: T5Blocks, config: T5Config, layout: PromptLayout, visualPrompt: Tensor3D | undefined, facts: SessionFacts) {
    super(facts);
    this.#blocks = blocks;
    this.#config = config;
    this.#layout = layout;
    this.#visualPrompt = visualPrompt;
    this.#promptOf = layout.ids.map((_, row) => row);
  }

  protected override runPrompt(options: PassOptions): Promise<Tensor2D> {
    const start = this.#layout.ids.map(() => this.#config.decoderStartTokenId);
    return withTensorScope(async (scope) => this.#advance(start, await this.#encode(scope, options), options));
  }

  protected override runTokens(tokenIds: readonly number[], options: PassOptions): Promise<Tensor2D> {
    return this.#advance(tokenIds, undefined, options);
  }

  async #encode(scope: TensorScope, options: PassOptions): Promise<Tensor3D> {
    const tokens = scope.own(await this.#blocks.encoderTokens.lookUp(this.#layout.ids, options)); // [rows, positions, width]
    const embeddings = scope.own(placeVisualPrompt(this.#layout, this.#visualPrompt, tokens)); // [rows, positions, width]
    this.#visualPrompt?.dispose();
    this.#visualPrompt = undefined;
    return scope.own(await encodeWithT5(this.#blocks, this.#config, embeddings, this.#layout.mask, options)); // [rows, positions, width]
  }

  /**
   * Sends one token a row through the decoder. The first time each layer also computes keys and values of the
   * encoder's output, so that streamed weights are read once for both.
   *
   * @returns logits after the token, `[rows, vocab]`.
   */
  #advance(tokenIds: readonly number[], encoded: Tensor3D | undefined, options: PassOptions): Promise<Tensor2D> {
    const { decoderTokens, decoder, head, headIsTied } = this.#blocks;
    const config = this.#config;
    return withTensorScope(async (scope) => {
      const ids = tokenIds.map((id) => [id]);
      const embeddings = scope.own(await decoderTokens.lookUp(ids, options)); // [rows, 1, width]
      this.#length++;
      const encoderMask = this.#promptOf.map((prompt) => this.#layout.mask[prompt]!);
      const shape = { tokens: 1, keys: this.#length };
      const bias = await decoder.stack.use((stack) => t5DecoderBias(stack, config, shape, encoderMask), options);
      scope.own(bias.self);
      if (bias.cross) scope.own(bias.cross);
      const hidden = await runBlocks(
        decoder.layers,
        embeddings,
        (params, state, index) => {
          if (encoded) this.#crossCache.set(index, t5CrossKeysAndValues(params, config, encoded));
          const cross = this.#crossCache.get(index)!;
          const { hidden: next, key, value } = t5DecoderLayer(params, config, state, bias, cross, this.#selfCache.get(index));
          this.#selfCache.set(index, { key, value });
          return next;
        },
        options,
      );
      scope.own(hidden); // [rows, 1, width]
      const decoded = scope.own(await decoder.stack.use((stack) => t5StackOutput(stack, config, hidden), options)); // [rows, 1, width]
      const scaled = headIsTied && config.scaleTiedHead;
      return head.use(({ weight }) => tidy(() => flatten(t5Logits(weight, decoded, scaled))), options); // [rows, vocab]
    });
  }

  protected override reorderCaches(rows: readonly number[]): void {
    this.#selfCache.reorder(rows);
    const promptOf = rows.map((row) => this.#promptOf[row]!);
    // Beams of one prompt share what the encoder said: nothing to copy when they only change places.
    const changed = promptOf.length !== this.#promptOf.length || promptOf.some((prompt, row) => prompt !== this.#promptOf[row]);
    if (changed) this.#crossCache.reorder(rows);
    this.#promptOf = promptOf;
  }

  protected override disposeCaches(): void {
    this.#selfCache.dispose();
    this.#crossCache.dispose();
    this.#visualPrompt?.dispose();
  }
}

/** @param logits - `[rows, 1, vocab]` @returns `[rows, vocab]` */
function flatten(logits: Tensor3D): Tensor2D {
  return tf.reshape(logits, [-1, logits.shape[2]]) as Tensor2D; // [rows, vocab]
}
