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
 * Axes: `batch`, `tokens` (new positions); in steps also `prompts`, of `beams` rows each, `shared` (positions of the prompts) and
 * `past` (positions that a row has had since).
 */

/** New positions. */
export interface OptInputs extends EmbeddingInputs {
  readonly positions: Tensor2D; // int32 [batch, tokens], rows of the position table
  readonly bias: Tensor4D; //      [batch, 1, tokens, keys], the causal and padding mask; a step's keys are shared + past + tokens
}

/** New positions and the caches that they follow. */
export interface OptStepInputs extends OptInputs {
  readonly prompt: readonly KeysAndValues[]; // of each layer, [prompts, heads, shared, headWidth]
  readonly past: readonly KeysAndValues[]; //   of each layer, [prompts · beams, heads, past, headWidth]
}

/** What follows new positions. */
export interface OptStepOutputs {
  readonly logits: Tensor2D; // [prompts · beams, vocab], of the last position
  readonly cache: readonly KeysAndValues[]; // of each layer, [prompts · beams, heads, past + tokens, headWidth]
}

/** What whole sequences give: see `OptForward`. */
export interface OptPassOutputs {
  readonly logits: Tensor3D; //   [batch, tokens, vocab]
  readonly features: Tensor3D; // [batch, tokens, embeddingWidth]
  readonly hiddenStates: readonly Tensor3D[]; // [batch, tokens, width], the input's and each layer's
}

/**
 * New positions through the model, with caches: the prompt, when `shared` and `past` are 0, and every token after it. One function for
 * both, so that an engine holds the weights once.
 */
export function optStep(params: OptParams, config: OptConfig, { prompt, past, ...inputs }: OptStepInputs): OptStepOutputs {
  const { states, cache } = optLayers(params, config, inputs, { prompt, past });
  return { logits: optNextLogits(params.output, config, lastPosition(states.at(-1)!)), cache };
}

/** Whole sequences through the model, without a cache. */
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
  caches?: Pick<OptStepInputs, 'prompt' | 'past'>,
): { states: Tensor3D[]; cache: KeysAndValues[] } {
  const states = [optInput(params.input, embedPositions(params.tokens, embeddings), positions)]; // [batch, tokens, width]
  const cache = params.layers.map((layer, index): KeysAndValues => {
    const { hidden, key, value } = optLayer(layer, config, states[index]!, bias, caches?.past[index], caches?.prompt[index]);
    states.push(hidden); // [batch, tokens, width]
    return { key, value };
  });
  return { states, cache };
}

/** What {@link optPass} takes. */
export function optPassSpecs(config: OptConfig): InputSpecs<OptInputs> {
  return inputSpecs(config, 'batch', 'tokens');
}

/** What {@link optStep} takes. */
export function optStepSpecs(config: OptConfig): InputSpecs<OptStepInputs> {
  const rows = 'prompts * beams';
  const cached = (batch: string, keys: string): InputSpecs<readonly KeysAndValues[]> => {
    const shape = [batch, config.heads, keys, config.width / config.heads];
    return Array.from({ length: config.layers }, () => ({ key: { shape }, value: { shape } }));
  };
  return {
    ...inputSpecs(config, rows, 'shared + past + tokens'),
    prompt: cached('prompts', 'shared'),
    past: cached(rows, 'past'),
  };
}

function inputSpecs(config: OptConfig, batch: string, keys: string): InputSpecs<OptInputs> {
  return {
    ...embeddingSpecs(config.embeddingWidth, batch, 'tokens'),
    positions: { shape: [batch, 'tokens'], dtype: 'int32' },
    bias: { shape: [batch, 1, 'tokens', keys] },
  };
}
