import { type Described, describeLinear, type Weight, WeightReader, type WeightSource } from '@blip2/core';
import type { OptConfig } from './opt-config.ts';
import type { OptLayerParams, OptParams } from './opt-decoder.ts';
import { describeMaybeAffineNorm, findPrefix, ownedNames, sameValues } from './parameter-names.ts';

/** Where the decoder's names begin: inside BLIP-2, in plain OPT, in the oldest files of plain OPT. */
const DECODER_PREFIXES = ['language_model.model.decoder.', 'model.decoder.', 'decoder.'] as const;
/** Where the head's name begins. */
const HEAD_PREFIXES = ['language_model.', '', 'model.'] as const;

/**
 * Describes the parameters of an OPT model by their Hugging Face names; nothing is read.
 *
 * Token table and head may be one matrix: whichever of `embed_tokens.weight` and `lm_head.weight` is there serves both.
 * If both are there, both are kept; {@link tieEqualHead} finds out whether they are copies.
 *
 * @param reader - Collects problems until its `finish`; a `describeOnlyReader` counts parameters without a file.
 *
 * @example
 * countParameters(describeOptParams(describeOnlyReader('OPT'), optConfig('2.7b', { vocabSize: 50304 }))); // 2651678720
 */
export function describeOptParams(reader: WeightReader, config: OptConfig): Described<OptParams> {
  const { width, embeddingWidth, vocabSize } = config;
  const prefix = findPrefix(reader, DECODER_PREFIXES, ['embed_positions.weight', 'embed_tokens.weight']);
  const headName = `${findPrefix(reader, HEAD_PREFIXES, ['lm_head.weight'])}lm_head.weight`;
  const tokensName = `${prefix}embed_tokens.weight`;
  const tableShape = [vocabSize, embeddingWidth];
  const head = reader.has(headName) ? reader.take(headName, tableShape) : undefined;
  const tokens = head === undefined || reader.has(tokensName) ? reader.take(tokensName, tableShape) : head;
  const projects = width !== embeddingWidth;
  return {
    tokens,
    input: {
      positions: reader.take(`${prefix}embed_positions.weight`, [config.maxPositions + 2, width]),
      ...(projects && { projectIn: describeLinear(reader, `${prefix}project_in`, [embeddingWidth, width], { bias: false }) }),
    },
    layers: Array.from({ length: config.layers }, (_, index) => describeLayer(reader, config, `${prefix}layers.${index}.`)),
    output: {
      ...(config.finalNorm && { norm: describeMaybeAffineNorm(reader, `${prefix}final_layer_norm`, width, config.normAffine) }),
      ...(projects && { projectOut: describeLinear(reader, `${prefix}project_out`, [width, embeddingWidth], { bias: false }) }),
      head: head ?? tokens,
    },
  };
}

function describeLayer(reader: WeightReader, config: OptConfig, prefix: string): Described<OptLayerParams> {
  const { width, feedForwardWidth, linearBias, normAffine } = config;
  const attention = (name: string): Described<OptLayerParams['query']> =>
    describeLinear(reader, `${prefix}self_attn.${name}_proj`, [width, width], { bias: linearBias });
  return {
    query: attention('q'),
    key: attention('k'),
    value: attention('v'),
    output: attention('out'),
    attentionNorm: describeMaybeAffineNorm(reader, `${prefix}self_attn_layer_norm`, width, normAffine),
    feedForwardIn: describeLinear(reader, `${prefix}fc1`, [width, feedForwardWidth], { bias: linearBias }),
    feedForwardOut: describeLinear(reader, `${prefix}fc2`, [feedForwardWidth, width], { bias: linearBias }),
    feedForwardNorm: describeMaybeAffineNorm(reader, `${prefix}final_layer_norm`, width, normAffine),
  };
}

/** Makes a stored copy of the token table the table itself, so that it is kept and counted once. */
export async function tieEqualHead(params: Described<OptParams>, abortSignal?: AbortSignal): Promise<Described<OptParams>> {
  const head: Weight = params.output.head;
  if (!(await sameValues(params.tokens, head, abortSignal))) return params;
  return { ...params, output: { ...params.output, head: params.tokens } };
}

/**
 * Finds an OPT model's weights in a checkpoint and checks every name and shape.
 *
 * @throws {WeightsError} when names are missing or left over, or shapes differ from the configuration.
 */
export async function readOptParams(
  weights: WeightSource,
  config: OptConfig,
  abortSignal?: AbortSignal,
): Promise<Described<OptParams>> {
  const reader = new WeightReader(weights, 'OPT language model');
  const params = describeOptParams(reader, config);
  reader.finish(ownedNames(weights));
  return tieEqualHead(params, abortSignal);
}
