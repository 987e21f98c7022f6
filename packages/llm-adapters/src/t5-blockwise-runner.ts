import { type Described, runBlocks, type TensorScope, type WeightBudget, withTensorScope } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import type { PassOptions } from './decoding-session.ts';
import { KeyValueCache, sharedPrompts } from './key-value-cache.ts';
import { BlockWeights } from './model-weights.ts';
import { placeVisualPrompt, type PromptLayout } from './prompt.ts';
import { placeT5, type T5Blocks, t5Tensors } from './t5-blocks.ts';
import type { T5Config } from './t5-config.ts';
import {
  t5CrossKeysAndValues,
  type T5DecoderBias,
  t5DecoderBias,
  t5DecoderLayer,
  type T5DecoderLayerParams,
  t5Logits,
  t5NextLogits,
  type T5Params,
} from './t5-decoder.ts';
import { t5EncoderBias, t5EncoderLayer, type T5EncoderLayerParams, t5StackOutput } from './t5-encoder.ts';
import type { T5Caches, T5DecodingRows, T5Forward, T5ForwardOptions, T5Runner } from './t5-runner.ts';

/** T5 layer by layer, on the current tfjs backend, with weights that stay in memory or stream. */
export class T5BlockwiseRunner extends BlockWeights implements T5Runner {
  readonly #blocks: T5Blocks;
  readonly #config: T5Config;

  constructor(params: Described<T5Params>, config: T5Config, budget: WeightBudget) {
    const blocks = placeT5(params, budget);
    super(blocks.all);
    this.#blocks = blocks;
    this.#config = config;
  }

  get tensors(): T5Params {
    return t5Tensors(this.#blocks);
  }

  openCaches(): T5Caches {
    return new T5BlockCaches(this.#blocks, this.#config);
  }

  async forward(
    layout: PromptLayout,
    visualPrompt: Tensor3D | undefined,
    decoderIds: readonly (readonly number[])[],
    options: T5ForwardOptions,
  ): Promise<T5Forward> {
    const config = this.#config;
    const { decoderTokens, decoder, head, headIsTied } = this.#blocks;
    return withTensorScope(async (scope) => {
      const recorder = (states: Tensor3D[]) => (state: Tensor3D) => {
        if (options.hiddenStates) states.push(scope.own(tf.keep(tf.clone(state))));
      };
      const encoderStates: Tensor3D[] = [];
      const decoderStates: Tensor3D[] = [];
      const encoded = scope.own(await encode(this.#blocks, config, layout, visualPrompt, options, recorder(encoderStates))); // [batch, positions, width]
      const targets = scope.own(await decoderTokens.lookUp(decoderIds, options)); // [batch, decoder tokens, width]
      const keys = decoderIds[0]!.length;
      const shape = { tokens: keys, keys, mask: options.decoderMask };
      const bias = await decoder.stack.use((stack) => t5DecoderBias(stack, config, shape, layout.mask), options);
      ownBias(scope, bias);
      const record = recorder(decoderStates);
      record(targets);
      const step = (params: T5DecoderLayerParams, state: Tensor3D): Tensor3D => {
        const next = t5DecoderLayer(params, config, state, bias, t5CrossKeysAndValues(params, config, encoded)).hidden;
        record(next);
        return next;
      };
      const hidden = scope.own(await runBlocks(decoder.layers, targets, step, options)); // [batch, decoder tokens, width]
      const decoded = scope.own(await decoder.stack.use((stack) => t5StackOutput(stack, config, hidden), options)); // [batch, decoder tokens, width]
      const logits = await head.use(({ weight }) => t5Logits({ head: weight, headIsTied }, config, decoded), options); // [batch, decoder tokens, vocab]
      for (const kept of [encoded, decoded, ...encoderStates, ...decoderStates]) scope.release(kept);
      return { logits, encoded, decoded, ...(options.hiddenStates && { encoderStates, decoderStates }) };
    });
  }
}

/** Caches of tensors. */
class T5BlockCaches implements T5Caches {
  readonly #blocks: T5Blocks;
  readonly #config: T5Config;
  readonly #selfCache: KeyValueCache = new KeyValueCache();
  readonly #crossCache: KeyValueCache = new KeyValueCache();
  /** The encoder's output, until the first token's pass has made keys and values of it. */
  #encoded: Tensor3D | undefined;
  /** Of each prompt, `[prompts][positions]`. */
  #encoderMask: readonly (readonly number[])[] = [];
  /** The prompt of each row of the cross cache. */
  #crossPrompts: readonly number[] = [];

  constructor(blocks: T5Blocks, config: T5Config) {
    this.#blocks = blocks;
    this.#config = config;
  }

  async encode(layout: PromptLayout, visualPrompt: Tensor3D | undefined, options: PassOptions): Promise<void> {
    this.#encoded = await encode(this.#blocks, this.#config, layout, visualPrompt, options); // [rows, positions, width]
    this.#encoderMask = layout.mask;
    this.#crossPrompts = layout.mask.map((_, row) => row);
  }

  /** The first time each layer also computes keys and values of the encoder's output, so that streamed weights are read once for both. */
  advance(tokenIds: readonly number[], { keys, promptOf }: T5DecodingRows, options: PassOptions): Promise<Tensor2D> {
    const { decoderTokens, decoder, head, headIsTied } = this.#blocks;
    const config = this.#config;
    return withTensorScope(async (scope) => {
      const encoded = this.#encoded && scope.own(this.#encoded);
      this.#encoded = undefined;
      const ids = tokenIds.map((id) => [id]);
      const embeddings = scope.own(await decoderTokens.lookUp(ids, options)); // [rows, 1, width]
      const encoderMask = this.#bringPrompts(promptOf).map((prompt) => this.#encoderMask[prompt]!);
      const bias = await decoder.stack.use((stack) => t5DecoderBias(stack, config, { tokens: 1, keys }, encoderMask), options);
      ownBias(scope, bias);
      const step = (params: T5DecoderLayerParams, state: Tensor3D, index: number): Tensor3D => {
        if (encoded) this.#crossCache.set(index, t5CrossKeysAndValues(params, config, encoded));
        const cross = this.#crossCache.get(index)!;
        const { hidden: next, key, value } = t5DecoderLayer(params, config, state, bias, cross, this.#selfCache.get(index));
        this.#selfCache.set(index, { key, value });
        return next;
      };
      const hidden = scope.own(await runBlocks(decoder.layers, embeddings, step, options)); // [rows, 1, width]
      const decoded = scope.own(await decoder.stack.use((stack) => t5StackOutput(stack, config, hidden), options)); // [rows, 1, width]
      return head.use(({ weight }) => t5NextLogits({ head: weight, headIsTied }, config, decoded), options); // [rows, vocab]
    });
  }

  reorder(rows: readonly number[]): void {
    this.#selfCache.reorder(rows);
  }

  dispose(): void {
    this.#selfCache.dispose();
    this.#crossCache.dispose();
  }

  /** Brings the cross cache's rows into the order of these prompts, of which each is there once for all its beams. */
  #bringPrompts(promptOf: readonly number[]): readonly number[] {
    const wanted = sharedPrompts(promptOf);
    if (wanted.join() !== this.#crossPrompts.join()) {
      this.#crossCache.reorder(wanted.map((prompt) => this.#crossPrompts.indexOf(prompt)));
      this.#crossPrompts = wanted;
    }
    return wanted;
  }
}

/**
 * The encoder.
 *
 * @param onLayer - Sees the input of each layer and the output of the last.
 * @returns `[batch, positions, width]`, the caller's.
 */
async function encode(
  { encoderTokens, encoder }: T5Blocks,
  config: T5Config,
  layout: PromptLayout,
  visualPrompt: Tensor3D | undefined,
  options: PassOptions,
  onLayer?: (hidden: Tensor3D) => void,
): Promise<Tensor3D> {
  return withTensorScope(async (scope) => {
    const tokens = scope.own(await encoderTokens.lookUp(layout.ids, options)); // [batch, positions, width]
    const embeddings = scope.own(placeVisualPrompt(layout, visualPrompt, tokens)); // [batch, positions, width]
    const bias = scope.own(await encoder.stack.use((stack) => t5EncoderBias(stack, config, layout.mask), options)); // [batch, heads, positions, positions]
    onLayer?.(embeddings);
    const step = (params: T5EncoderLayerParams, state: Tensor3D): Tensor3D => {
      const next = t5EncoderLayer(params, config, state, bias);
      onLayer?.(next);
      return next;
    };
    const hidden = scope.own(await runBlocks(encoder.layers, embeddings, step, options)); // [batch, positions, width]
    return encoder.stack.use((stack) => t5StackOutput(stack, config, hidden), options);
  });
}

function ownBias(scope: TensorScope, { self, cross }: T5DecoderBias): void {
  scope.own(self);
  if (cross) scope.own(cross);
}
