import { type Described, describeLinear, type Weight, WeightReader, type WeightSource } from '@blip2/core';
import { describeRmsNorm, findPrefix, ownedNames, sameValues } from './parameter-names.ts';
import type { T5Config } from './t5-config.ts';
import type { T5DecoderLayerParams, T5Params } from './t5-decoder.ts';
import type { T5EncoderLayerParams } from './t5-encoder.ts';
import type { T5AttentionParams, T5FeedForwardParams, T5StackParams } from './t5-layers.ts';

/** Where names begin: inside BLIP-2, in plain T5. */
const PREFIXES = ['language_model.', ''] as const;
/** The shared token table and its names in the two stacks; files hold one of them, or copies, or tables that differ. */
const SHARED_TABLE = 'shared.weight';
const ENCODER_TABLE = 'encoder.embed_tokens.weight';
const DECODER_TABLE = 'decoder.embed_tokens.weight';

/**
 * Describes the parameters of a T5 model by their Hugging Face names; nothing is read.
 *
 * Token tables of encoder and decoder are the shared one, unless the file has them too: {@link tieEqualTables} finds out
 * whether they are copies. Inside BLIP-2 the encoder's text goes through the shared table even then, because
 * BLIP-2 embeds it itself. `lm_head.weight` is the head if it is there, and must be there if the configuration says that the head
 * is not tied.
 *
 * @param reader - Collects problems until its `finish`; a `describeOnlyReader` counts parameters without a file.
 *
 * @example
 * countParameters(describeT5Params(describeOnlyReader('T5'), flanT5Config('xl'))); // 2849757184
 */
export function describeT5Params(reader: WeightReader, config: T5Config): Described<T5Params> {
  const prefix = findPrefix(reader, PREFIXES, [SHARED_TABLE, ENCODER_TABLE, DECODER_TABLE]);
  const isPlain = prefix === '';
  const take = (name: string): Weight => reader.take(prefix + name, [config.vocabSize, config.width]);
  const sharedName = [SHARED_TABLE, ENCODER_TABLE, DECODER_TABLE].find((name) => reader.has(prefix + name)) ?? SHARED_TABLE;
  const shared = take(sharedName);
  const ownTable = (name: string): Weight => (name !== sharedName && reader.has(prefix + name) ? take(name) : shared);
  const headIsTied = config.tiedHead && !reader.has(`${prefix}lm_head.weight`);
  return {
    encoderTokens: isPlain ? ownTable(ENCODER_TABLE) : shared,
    decoderTokens: ownTable(DECODER_TABLE),
    encoder: {
      stack: describeStack(reader, config, `${prefix}encoder.`),
      layers: Array.from({ length: config.encoderLayers }, (_, index) =>
        describeEncoderLayer(reader, config, `${prefix}encoder.block.${index}.layer.`),
      ),
    },
    decoder: {
      stack: describeStack(reader, config, `${prefix}decoder.`),
      layers: Array.from({ length: config.decoderLayers }, (_, index) =>
        describeDecoderLayer(reader, config, `${prefix}decoder.block.${index}.layer.`),
      ),
    },
    head: headIsTied ? shared : take('lm_head.weight'),
    headIsTied,
  };
}

function describeStack(reader: WeightReader, config: T5Config, prefix: string): Described<T5StackParams> {
  const biasName = `${prefix}block.0.layer.0.SelfAttention.relative_attention_bias.weight`;
  return {
    positionBias: reader.take(biasName, [config.relativePositionBuckets, config.heads]),
    norm: describeRmsNorm(reader, `${prefix}final_layer_norm`, config.width),
  };
}

function describeEncoderLayer(reader: WeightReader, config: T5Config, prefix: string): Described<T5EncoderLayerParams> {
  return {
    attentionNorm: describeRmsNorm(reader, `${prefix}0.layer_norm`, config.width),
    attention: describeAttention(reader, config, `${prefix}0.SelfAttention.`),
    feedForwardNorm: describeRmsNorm(reader, `${prefix}1.layer_norm`, config.width),
    feedForward: describeFeedForward(reader, config, `${prefix}1.DenseReluDense.`),
  };
}

function describeDecoderLayer(reader: WeightReader, config: T5Config, prefix: string): Described<T5DecoderLayerParams> {
  return {
    attentionNorm: describeRmsNorm(reader, `${prefix}0.layer_norm`, config.width),
    attention: describeAttention(reader, config, `${prefix}0.SelfAttention.`),
    crossAttentionNorm: describeRmsNorm(reader, `${prefix}1.layer_norm`, config.width),
    crossAttention: describeAttention(reader, config, `${prefix}1.EncDecAttention.`),
    feedForwardNorm: describeRmsNorm(reader, `${prefix}2.layer_norm`, config.width),
    feedForward: describeFeedForward(reader, config, `${prefix}2.DenseReluDense.`),
  };
}

function describeAttention(reader: WeightReader, config: T5Config, prefix: string): Described<T5AttentionParams> {
  const inner = config.heads * config.headWidth;
  return {
    query: describeLinear(reader, `${prefix}q`, [config.width, inner], { bias: false }),
    key: describeLinear(reader, `${prefix}k`, [config.width, inner], { bias: false }),
    value: describeLinear(reader, `${prefix}v`, [config.width, inner], { bias: false }),
    output: describeLinear(reader, `${prefix}o`, [inner, config.width], { bias: false }),
  };
}

function describeFeedForward(reader: WeightReader, config: T5Config, prefix: string): Described<T5FeedForwardParams> {
  const { width, feedForwardWidth, gatedFeedForward } = config;
  return {
    ...(gatedFeedForward && { gate: describeLinear(reader, `${prefix}wi_0`, [width, feedForwardWidth], { bias: false }) }),
    in: describeLinear(reader, `${prefix}${gatedFeedForward ? 'wi_1' : 'wi'}`, [width, feedForwardWidth], { bias: false }),
    out: describeLinear(reader, `${prefix}wo`, [feedForwardWidth, width], { bias: false }),
  };
}

/**
 * Makes stored copies of a table one table, so that they are kept and counted once; tables that differ stay apart.
 *
 * A head that equals the encoder's table is tied only where the configuration says so too. One that differs is the model's
 * own, whatever the configuration says: current library versions write `tie_word_embeddings: true` for Flan-T5.
 */
export async function tieEqualTables(
  params: Described<T5Params>,
  config: T5Config,
  abortSignal?: AbortSignal,
): Promise<Described<T5Params>> {
  const tokens: Weight = params.encoderTokens;
  const same = (weight: Weight): Promise<boolean> => sameValues(tokens, weight, abortSignal);
  const decoderTokens = (await same(params.decoderTokens)) ? tokens : params.decoderTokens;
  const headIsCopy = config.tiedHead && (await same(params.head));
  return { ...params, decoderTokens, ...(headIsCopy && { head: tokens, headIsTied: true }) };
}

/**
 * Finds a T5 model's weights in a checkpoint and checks every name and shape.
 *
 * @throws {WeightsError} when names are missing or left over, or shapes differ from the configuration.
 */
export async function readT5Params(
  weights: WeightSource,
  config: T5Config,
  abortSignal?: AbortSignal,
): Promise<Described<T5Params>> {
  const reader = new WeightReader(weights, 'T5 language model');
  const params = describeT5Params(reader, config);
  const aliases = PREFIXES.map((prefix) => prefix + ENCODER_TABLE);
  reader.ignore((name) => aliases.includes(name));
  reader.finish(ownedNames(weights));
  return tieEqualTables(params, config, abortSignal);
}
