import { type Described, embed, type InputSpecs } from '@blip2/core';
import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { type EmbeddingInputs, embeddingSpecs, embedPositions } from './embedding-inputs.ts';
import type { KeysAndValues } from './key-value-cache.ts';
import { lastPosition } from './prompt.ts';
import type { T5Config } from './t5-config.ts';
import {
  t5CrossKeysAndValues,
  type T5CrossParams,
  t5DecoderLayer,
  type T5DecodingLayerParams,
  type T5HeadParams,
  t5Logits,
  t5NextLogits,
  type T5Params,
} from './t5-decoder.ts';
import { t5Bias, t5EncoderLayer, type T5EncoderParams, t5StackOutput } from './t5-encoder.ts';
import type { T5StackParams } from './t5-layers.ts';

/**
 * T5 as whole functions, for an engine: the same layers that eager code calls one by one. They are traced once for all
 * sizes, so that nothing may depend on a size; what depends on ids and masks comes in as numbers.
 *
 * Axes: `batch`, `encoderTokens`, `tokens` (new positions of the decoder); in steps `prompts`, of `beams` rows each, and `past` (positions
 * before the new ones).
 */

/** What encodes a prompt, as far as the decoder's keys and values of it. */
export interface T5EncodeParams {
  readonly tokens: Tensor2D; // [vocab, width]
  readonly encoder: T5EncoderParams;
  readonly cross: readonly T5CrossParams[];
}

/** What decodes, once those are there. */
export interface T5DecodeParams extends T5HeadParams {
  readonly tokens: Tensor2D; // [vocab, width]
  readonly stack: T5StackParams;
  readonly layers: readonly T5DecodingLayerParams[];
}

/** A prompt. */
export interface T5EncodeInputs extends EmbeddingInputs {
  readonly buckets: Tensor2D; // int32 [encoderTokens, encoderTokens]: how far apart positions are
  readonly bias: Tensor4D; // [batch, 1, 1, encoderTokens], the padding mask
}

/** New positions of the decoder. */
export interface T5DecodeInputs {
  readonly ids: Tensor2D; // int32 [prompts · beams, tokens]
  readonly buckets: Tensor2D; // int32 [tokens, past + tokens]
  readonly bias: Tensor4D; // [prompts · beams, 1, tokens, past + tokens], the causal mask
  readonly crossBias: Tensor4D; // [prompts, 1, 1, encoderTokens], the padding mask of the prompts
  readonly cross: readonly KeysAndValues[]; // of each layer, [prompts, heads, encoderTokens, headWidth]
  readonly past: readonly KeysAndValues[]; // of each layer, [prompts · beams, heads, past, headWidth]
}

/** What follows new positions. */
export interface T5DecodeOutputs {
  readonly logits: Tensor2D; // [prompts · beams, vocab], of the last position
  readonly cache: readonly KeysAndValues[]; // of each layer, [prompts · beams, heads, past + tokens, headWidth]
}

/** Whole sequences. */
export interface T5PassInputs {
  readonly encoder: T5EncodeInputs;
  readonly decoder: Omit<T5DecodeInputs, 'cross' | 'past'>;
}

/** What whole sequences give: see `T5Forward`. */
export interface T5PassOutputs {
  readonly logits: Tensor3D; //  [batch, tokens, vocab]
  readonly encoded: Tensor3D; // [batch, encoderTokens, width]
  readonly decoded: Tensor3D; // [batch, tokens, width]
  readonly encoderStates: readonly Tensor3D[]; // [batch, encoderTokens, width], the input's and each layer's
  readonly decoderStates: readonly Tensor3D[]; // [batch, tokens, width], the input's and each layer's
}

/** The parameters of {@link t5Encode}, out of all. */
export function t5EncodeParams({ encoderTokens, encoder, decoder }: Described<T5Params>): Described<T5EncodeParams> {
  const cross = decoder.layers.map(({ crossAttention: { key, value } }) => ({ crossAttention: { key, value } }));
  return { tokens: encoderTokens, encoder, cross };
}

/** The parameters of {@link t5Decode}, out of all. */
export function t5DecodeParams({ decoderTokens, decoder, head, headIsTied }: Described<T5Params>): Described<T5DecodeParams> {
  const layers = decoder.layers.map(({ crossAttention: { query, output }, ...layer }) => ({
    ...layer,
    crossAttention: { query, output },
  }));
  return { tokens: decoderTokens, stack: decoder.stack, layers, head, headIsTied };
}

/** A prompt through the encoder. @returns keys and values of it for each decoder layer, `[batch, heads, encoderTokens, headWidth]`. */
export function t5Encode(params: T5EncodeParams, config: T5Config, inputs: T5EncodeInputs): { cross: KeysAndValues[] } {
  const { encoded } = encoderLayers(params, config, inputs);
  return { cross: params.cross.map((layer) => t5CrossKeysAndValues(layer, config, encoded)) };
}

/** New positions through the decoder, with a cache: the start token, when `past` is 0, and every token after it. */
export function t5Decode(params: T5DecodeParams, config: T5Config, inputs: T5DecodeInputs): T5DecodeOutputs {
  const { states, cache } = decoderLayers(params, config, inputs, inputs.cross, inputs.past);
  const decoded = t5StackOutput(params.stack, config, lastPosition(states.at(-1)!)); // [batch, 1, width]
  return { logits: t5NextLogits(params, config, decoded), cache };
}

/** Whole sequences through the model, without a cache: `past` is 0. */
export function t5Pass(params: T5Params, config: T5Config, { encoder, decoder }: T5PassInputs): T5PassOutputs {
  const { encoded, states: encoderStates } = encoderLayers(
    { tokens: params.encoderTokens, encoder: params.encoder },
    config,
    encoder,
  );
  const cross = params.decoder.layers.map((layer) => t5CrossKeysAndValues(layer, config, encoded)); // [batch, heads, encoderTokens, headWidth]
  const { states: decoderStates } = decoderLayers({ tokens: params.decoderTokens, ...params.decoder }, config, decoder, cross);
  const decoded = t5StackOutput(params.decoder.stack, config, decoderStates.at(-1)!); // [batch, tokens, width]
  return { logits: t5Logits(params, config, decoded), encoded, decoded, encoderStates, decoderStates };
}

/** @returns the first hidden state and that after each layer, and the last one normed, `[batch, encoderTokens, width]`. */
function encoderLayers(
  { tokens, encoder }: Pick<T5EncodeParams, 'tokens' | 'encoder'>,
  config: T5Config,
  { buckets, bias, ...embeddings }: T5EncodeInputs,
): { states: Tensor3D[]; encoded: Tensor3D } {
  const scores = t5Bias(encoder.stack, buckets, bias); // [batch, heads, encoderTokens, encoderTokens]
  const states = [embedPositions(tokens, embeddings)]; // [batch, encoderTokens, width]
  for (const layer of encoder.layers) states.push(t5EncoderLayer(layer, config, states.at(-1)!, scores));
  return { states, encoded: t5StackOutput(encoder.stack, config, states.at(-1)!) };
}

/** @returns the first hidden state and that after each layer, `[batch, tokens, width]`; keys and values of all positions. */
function decoderLayers(
  { tokens, stack, layers }: Omit<T5DecodeParams, keyof T5HeadParams>,
  config: T5Config,
  { ids, buckets, bias, crossBias }: Omit<T5DecodeInputs, 'cross' | 'past'>,
  cross: readonly KeysAndValues[],
  past?: readonly KeysAndValues[],
): { states: Tensor3D[]; cache: KeysAndValues[] } {
  const scores = { self: t5Bias(stack, buckets, bias), cross: crossBias }; // [batch, heads, tokens, past + tokens]
  const states = [embed(tokens, ids)]; // [batch, tokens, width]
  const cache = layers.map((layer, index): KeysAndValues => {
    const { hidden, key, value } = t5DecoderLayer(layer, config, states[index]!, scores, cross[index]!, past?.[index]);
    states.push(hidden);
    return { key, value };
  });
  return { states, cache };
}

/** What {@link t5Encode} takes. */
export function t5EncodeSpecs(config: T5Config): InputSpecs<T5EncodeInputs> {
  return {
    ...embeddingSpecs(config.width, 'batch', 'encoderTokens'),
    buckets: { shape: ['encoderTokens', 'encoderTokens'], dtype: 'int32' },
    bias: { shape: ['batch', 1, 1, 'encoderTokens'] },
  };
}

/** What {@link t5Decode} takes. */
export function t5DecodeSpecs({ heads, headWidth, decoderLayers: layers }: T5Config): InputSpecs<T5DecodeInputs> {
  const rows = 'prompts * beams';
  const cached = (batch: string, keys: string): InputSpecs<readonly KeysAndValues[]> => {
    const shape = [batch, heads, keys, headWidth];
    return Array.from({ length: layers }, () => ({ key: { shape }, value: { shape } }));
  };
  return {
    ids: { shape: [rows, 'tokens'], dtype: 'int32' },
    buckets: { shape: ['tokens', 'past + tokens'], dtype: 'int32' },
    bias: { shape: [rows, 1, 'tokens', 'past + tokens'] },
    crossBias: { shape: ['prompts', 1, 1, 'encoderTokens'] },
    cross: cached('prompts', 'encoderTokens'),
    past: cached(rows, 'past'),
  };
}

/** What {@link t5Pass} takes. */
export function t5PassSpecs(config: T5Config): InputSpecs<T5PassInputs> {
  return {
    encoder: t5EncodeSpecs(config),
    decoder: {
      ids: { shape: ['batch', 'tokens'], dtype: 'int32' },
      buckets: { shape: ['tokens', 'tokens'], dtype: 'int32' },
      bias: { shape: ['batch', 1, 'tokens', 'tokens'] },
      crossBias: { shape: ['batch', 1, 1, 'encoderTokens'] },
    },
  };
}
