import { linear, runBlocks, tidy, withTensorScope } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { CachedSession, type PassOptions, type SessionFacts } from './decoding-session.ts';
import { KeyValueCache } from './key-value-cache.ts';
import type { OptBlocks } from './opt-blocks.ts';
import type { OptConfig } from './opt-config.ts';
import { optAttentionBias, optFeatures, optInput, optLayer } from './opt-decoder.ts';
import { type PromptLayout, placeVisualPrompt } from './prompt.ts';

/** Decoding with OPT: one key/value cache, and a mask that grows with it. */
export class OptDecodingSession extends CachedSession {
  readonly #blocks: OptBlocks;
  readonly #config: OptConfig;
  readonly #layout: PromptLayout;
  #visualPrompt: Tensor3D | undefined;
  /** Of all positions so far, `[rows][positions]`: pads in the prompt take up no position. */
  #mask: readonly (readonly number[])[];
  readonly #cache: KeyValueCache = new KeyValueCache();

  /** @param visualPrompt - The session's from now on. */
  constructor(
    blocks: OptBlocks,
    config: OptConfig,
    layout: PromptLayout,
    visualPrompt: Tensor3D | undefined,
    facts: SessionFacts,
  ) {
    super(facts);
    this.#blocks = blocks;
    this.#config = config;
    this.#layout = layout;
    this.#visualPrompt = visualPrompt;
    this.#mask = layout.mask;
  }

  protected override runPrompt(options: PassOptions): Promise<Tensor2D> {
    return withTensorScope(async (scope) => {
      const tokens = scope.own(await this.#blocks.tokens.lookUp(this.#layout.ids, options)); // [rows, positions, embeddingWidth]
      const embeddings = scope.own(placeVisualPrompt(this.#layout, this.#visualPrompt, tokens)); // [rows, positions, embeddingWidth]
      this.#visualPrompt?.dispose();
      this.#visualPrompt = undefined;
      return this.#advance(embeddings, options);
    });
  }

  protected override runTokens(tokenIds: readonly number[], options: PassOptions): Promise<Tensor2D> {
    return withTensorScope(async (scope) => {
      const ids = tokenIds.map((id) => [id]);
      const embeddings = scope.own(await this.#blocks.tokens.lookUp(ids, options)); // [rows, 1, embeddingWidth]
      this.#mask = this.#mask.map((row) => [...row, 1]);
      return this.#advance(embeddings, options);
    });
  }

  /** Sends new positions through the model. @returns logits after the last of them, `[rows, vocab]`. */
  #advance(embeddings: Tensor3D, options: PassOptions): Promise<Tensor2D> {
    const { input, layers, output } = this.#blocks;
    const config = this.#config;
    return withTensorScope(async (scope) => {
      const entered = await input.use((params) => optInput(params, embeddings, this.#mask), options);
      scope.own(entered); // [rows, positions, width]
      const bias = optAttentionBias(this.#mask, embeddings.shape[1]);
      if (bias) scope.own(bias);
      const hidden = await runBlocks(
        layers,
        entered,
        (params, state, index) => {
          const { hidden: next, key, value } = optLayer(params, config, state, bias, this.#cache.get(index));
          this.#cache.set(index, { key, value });
          return next;
        },
        options,
      );
      scope.own(hidden); // [rows, positions, width]
      return output.use(
        (params) => tidy(() => lastLogits(params.head, optFeatures(params, config, lastPosition(hidden)))),
        options,
      );
    });
  }

  protected override reorderCaches(rows: readonly number[]): void {
    this.#cache.reorder(rows);
    this.#mask = rows.map((row) => this.#mask[row]!);
  }

  protected override disposeCaches(): void {
    this.#cache.dispose();
    this.#visualPrompt?.dispose();
  }
}

/** @param hidden - `[rows, positions, width]` @returns `[rows, 1, width]` */
function lastPosition(hidden: Tensor3D): Tensor3D {
  const [rows, positions, width] = hidden.shape;
  return tf.slice(hidden, [0, positions - 1, 0], [rows, 1, width]); // [rows, 1, width]
}

/** @param features - `[rows, 1, width]` @returns `[rows, vocab]` */
function lastLogits(head: Tensor2D, features: Tensor3D): Tensor2D {
  return linear({ weight: head }, tf.reshape(features, [-1, features.shape[2]]) as Tensor2D); // [rows, vocab]
}
