import { type InputSpecs, linear } from '@blip2/core';
import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { type EmbeddingInputs, embeddingSpecs, embedPositions } from './embedding-inputs.ts';
import type { KeysAndValues } from './key-value-cache.ts';
import type { OptConfig } from './opt-config.ts';
import { optFeatures, optInput, optLayer, optNextLogits, type OptParams } from './opt-decoder.ts';
import { lastPosition } from './prompt.ts';

/**
 * OPT as whole functions, for an engine: the same layers that eager code calls one by one. They are traced once for all
 * sizes, so that nothing may depend on a size; what depends on ids and masks comes in as numbers.
 *
 * Axes: `batch`, `tokens` (new positions), `past` (positions before them).
 */

/** New positions. */
export interface OptInputs extends EmbeddingInputs {
  readonly positions: Tensor2D; // int32 [batch, tokens], rows of the position table
  readonly bias: Tensor4D; //      [batch, 1, tokens, past + tokens], the causal and padding mask
}

/** New positions and the cache that they follow. */
export interface OptStepInputs extends OptInputs {
  readonly past: readonly KeysAndValues[]; // of each layer, [batch, heads, past, headWidth]
}

/** What follows new positions. */
export interface OptStepOutputs {
  readonly logits: Tensor2D; // [batch, vocab], of the last position
  readonly cache: readonly KeysAndValues[]; // of each layer, [batch, heads, past + tokens, headWidth]
}

/** What whole sequences give: see `OptForward`. */
export interface OptPassOutputs {
  readonly logits: Tensor3D; //   [batch, tokens, vocab]
  readonly features: Tensor3D; // [batch, tokens, embeddingWidth]
  readonly hiddenStates: readonly Tensor3D[]; // [batch, tokens, width], the input's and each layer's
}

/**
 * New positions through the model, with a cache: the prompt, when `past` is 0, and every token after it. One function for both,
 * so that an engine holds the weights once.
 */
export function optStep(params: OptParams, config: OptConfig, { past, ...inputs }: OptStepInputs): OptStepOutputs {
  const { states, cache } = optLayers(params, config, inputs, past);
  return { logits: optNextLogits(params.output, config, lastPosition(states.at(-1)!)), cache };
}

/** Whole sequences through the model, without a cache: `past` is 0. */
export function optPass(params: OptParams, config: OptConfig, inputs: OptInputs): OptPassOutputs {
  const { states: hiddenStates } = optLayers(params, config, inputs);
  const features = optFeatures(params.output, config, hiddenStates.at(-1)!); // [batch, tokens, embeddingWidth]
  return { logits: linear({ weight: params.output.head }, features), features, hiddenStates };
}

/** @returns the first hidden state and that after each layer, `[batch, tokens, width]`; keys and values of all positions. */
function optLayers(
  params: OptParams,
  config: OptConfig,
  { positions, bias, ...embeddings }: OptInputs,
  past?: readonly KeysAndValues[],
): { states: Tensor3D[]; cache: KeysAndValues[] } {
  const states = [optInput(params.input, embedPositions(params.tokens, embeddings), positions)]; // [batch, tokens, width]
  const cache = params.layers.map((layer, index): KeysAndValues => {
    const { hidden, key, value } = optLayer(layer, config, states[index]!, bias, past?.[index]);
    states.push(hidden); // [batch, tokens, width]
    return { key, value };
  });
  return { states, cache };
}

/** What {@link optPass} takes. */
export function optPassSpecs(config: OptConfig): InputSpecs<OptInputs> {
  return {
    ...embeddingSpecs(config.embeddingWidth, 'tokens'),
    positions: { shape: ['batch', 'tokens'], dtype: 'int32' },
    bias: { shape: ['batch', 1, 'tokens', 'tokens'] },
  };
}

/** What {@link optStep} takes. */
export function optStepSpecs(config: OptConfig): InputSpecs<OptStepInputs> {
  const cached = { shape: ['batch', config.heads, 'past', config.width / config.heads] };
  return {
    ...optPassSpecs(config),
    bias: { shape: ['batch', 1, 'tokens', 'past + tokens'] },
    past: Array.from({ length: config.layers }, () => ({ key: cached, value: cached })),
  };
}
