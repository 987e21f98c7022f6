import { type Described, linear, runBlocks, tidy, type WeightBudget, withTensorScope } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import type { PassOptions } from './decoding-session.ts';
import { tensorOf } from './host-tensors.ts';
import { KeyValueCache } from './key-value-cache.ts';
import { BlockWeights } from './model-weights.ts';
import { type OptBlocks, optTensors, placeOpt } from './opt-blocks.ts';
import type { OptConfig } from './opt-config.ts';
import { optAttentionBias, optFeatures, optInput, optLayer, optNextLogits, type OptParams, optPositions } from './opt-decoder.ts';
import type { DecodingRows, OptCache, OptForward, OptForwardOptions, OptRunner } from './opt-runner.ts';
import { type InputPositions, lastPosition, placeVisualPrompt, type PromptLayout } from './prompt.ts';

/** OPT layer by layer, on the current tfjs backend, with weights that stay in memory or stream. */
export class OptBlockwiseRunner extends BlockWeights implements OptRunner {
  readonly #blocks: OptBlocks;
  readonly #config: OptConfig;

  constructor(params: Described<OptParams>, config: OptConfig, budget: WeightBudget) {
    const blocks = placeOpt(params, budget);
    super(blocks.all);
    this.#blocks = blocks;
    this.#config = config;
  }

  get tensors(): OptParams {
    return optTensors(this.#blocks);
  }

  openCache(): OptCache {
    return new OptBlockCache(this.#blocks, this.#config);
  }

  async forward(layout: PromptLayout, visualPrompt: Tensor3D | undefined, options: OptForwardOptions): Promise<OptForward> {
    const config = this.#config;
    const { tokens, input, layers, output } = this.#blocks;
    return withTensorScope(async (scope) => {
      const embedded = scope.own(await tokens.lookUp(layout.ids, options)); // [batch, positions, embeddingWidth]
      const embeddings = scope.own(placeVisualPrompt(layout, visualPrompt, embedded)); // [batch, positions, embeddingWidth]
      const positions = scope.own(tensorOf<Tensor2D>(optPositions(layout.mask, embeddings.shape[1]))); // [batch, positions]
      const bias = optAttentionBias(layout.mask, embeddings.shape[1]);
      if (bias) scope.own(bias);
      const entered = scope.own(await input.use((params) => optInput(params, embeddings, positions), options)); // [batch, positions, width]
      const states: Tensor3D[] = [];
      const record = (state: Tensor3D): Tensor3D => {
        if (options.hiddenStates) states.push(scope.own(tf.keep(tf.clone(state))));
        return state;
      };
      record(entered);
      const step = (params: Parameters<typeof optLayer>[0], state: Tensor3D): Tensor3D =>
        record(optLayer(params, config, state, bias).hidden);
      const hidden = scope.own(await runBlocks(layers, entered, step, options)); // [batch, positions, width]
      const { features, logits } = await output.use((params) => {
        return tidy(() => {
          const headInput = optFeatures(params, config, hidden); // [batch, positions, embeddingWidth]
          return { features: headInput, logits: linear({ weight: params.head }, headInput) }; // [batch, positions, vocab]
        });
      }, options);
      for (const state of states) scope.release(state);
      return { logits, features, ...(options.hiddenStates && { hiddenStates: states }) };
    });
  }
}

/** A cache of tensors. */
class OptBlockCache implements OptCache {
  readonly #blocks: OptBlocks;
  readonly #config: OptConfig;
  readonly #cache: KeyValueCache = new KeyValueCache();

  constructor(blocks: OptBlocks, config: OptConfig) {
    this.#blocks = blocks;
    this.#config = config;
  }

  advance(
    positions: InputPositions,
    visualPrompt: Tensor3D | undefined,
    { mask }: DecodingRows,
    options: PassOptions,
  ): Promise<Tensor2D> {
    const { tokens, input, layers, output } = this.#blocks;
    const config = this.#config;
    return withTensorScope(async (scope) => {
      const embedded = scope.own(await tokens.lookUp(positions.ids, options)); // [batch, tokens, embeddingWidth]
      const embeddings = scope.own(placeVisualPrompt(positions, visualPrompt, embedded)); // [batch, tokens, embeddingWidth]
      const rows = scope.own(tensorOf<Tensor2D>(optPositions(mask, embeddings.shape[1]))); // [batch, tokens]
      const entered = scope.own(await input.use((params) => optInput(params, embeddings, rows), options)); // [batch, tokens, width]
      const bias = optAttentionBias(mask, embeddings.shape[1]);
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
      scope.own(hidden); // [batch, tokens, width]
      return output.use((params) => tidy(() => optNextLogits(params, config, lastPosition(hidden))), options); // [batch, vocab]
    });
  }

  reorder(rows: readonly number[]): void {
    this.#cache.reorder(rows);
  }

  dispose(): void {
    this.#cache.dispose();
  }
}
