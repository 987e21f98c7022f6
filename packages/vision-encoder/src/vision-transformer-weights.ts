import {
  type Described,
  describeLayerNorm,
  describeLinear,
  type LinearParams,
  reshapeWeight,
  type WeightReader,
} from '@blip2/core';
import type {
  VisionAttentionParams,
  VisionBlockParams,
  VisionEmbeddingParams,
  VisionTransformerParams,
} from './vision-transformer.ts';
import type { VisionTransformerConfig } from './vision-transformer-config.ts';

/**
 * Describes the weights of a Vision Transformer by their names on the Hub. Nothing is read; fused matrices and
 * convolution kernels become what the model uses by reference.
 *
 * @param reader - Keeps problems for its `finish`. Blocks that do not run, the final norm and buffers count as known.
 *
 * @example
 * const reader = new WeightReader(checkpoint.weights, 'vision encoder');
 * const described = describeVisionTransformer(reader, EVA_VIT_G);
 * reader.finish(isVisionWeight);
 *
 * Source: transformers, `Blip2VisionModel` and `CLIPVisionModel`.
 */
export function describeVisionTransformer(
  reader: WeightReader,
  config: VisionTransformerConfig,
): Described<VisionTransformerParams> {
  const prefix = findPrefix(reader);
  reader.ignore((name) => isUnused(name, prefix, config));
  return {
    embeddings: describeEmbeddings(reader, config, prefix),
    blocks: Array.from({ length: config.layers }, (_, index) =>
      describeBlock(reader, config, `${prefix}encoder.layers.${index}`),
    ),
  };
}

/** True for the names of a vision model's weights, in a model of several parts or alone. */
export function isVisionWeight(name: string): boolean {
  return /^vision_model\.|^(encoder\.layers|pre_layrnorm|post_layernorm)\./.test(name);
}

/** CLIP vision models saved by newer libraries lack the prefix. */
function findPrefix(reader: WeightReader): string {
  const isBare = !reader.has('vision_model.embeddings.class_embedding') && reader.has('embeddings.class_embedding');
  return isBare ? '' : 'vision_model.';
}

/** Weights of the same model that the features do not depend on. */
function isUnused(name: string, prefix: string, { layers, layersInCheckpoint }: VisionTransformerConfig): boolean {
  if (!name.startsWith(prefix)) return false;
  const rest = name.slice(prefix.length);
  const layer = /^encoder\.layers\.(\d+)\./.exec(rest)?.[1];
  if (layer !== undefined) return Number(layer) >= layers && Number(layer) < layersInCheckpoint;
  return rest.startsWith('post_layernorm.') || rest === 'embeddings.position_ids';
}

function describeEmbeddings(
  reader: WeightReader,
  config: VisionTransformerConfig,
  prefix: string,
): Described<VisionEmbeddingParams> {
  const { width, patchSize, imageSize, naming } = config;
  const name = `${prefix}embeddings.`;
  const tokens = 1 + Math.floor(imageSize / patchSize) ** 2;
  const kernel = reader.take(`${name}patch_embedding.weight`, [width, 3, patchSize, patchSize]);
  const positions =
    naming === 'clip'
      ? reader.take(`${name}position_embedding.weight`, [tokens, width])
      : reader.take(`${name}position_embedding`, [1, tokens, width]);
  return {
    patch: {
      weight: reshapeWeight(kernel, [width, 3 * patchSize * patchSize]),
      ...(config.patchBias && { bias: reader.take(`${name}patch_embedding.bias`, [width]) }),
    },
    classToken: reshapeWeight(reader.take(`${name}class_embedding`, naming === 'clip' ? [width] : [1, 1, width]), [1, width]),
    positions: reshapeWeight(positions, [tokens, width]),
    ...(config.preNorm && { preNorm: describeLayerNorm(reader, `${prefix}pre_layrnorm`, width) }), // spelt so in the files
  };
}

function describeBlock(reader: WeightReader, config: VisionTransformerConfig, name: string): Described<VisionBlockParams> {
  const { width, feedForwardWidth } = config;
  return {
    attentionNorm: describeLayerNorm(reader, `${name}.layer_norm1`, width),
    attention:
      config.naming === 'clip'
        ? describeSeparateAttention(reader, config, `${name}.self_attn`)
        : describeFusedAttention(reader, config, `${name}.self_attn`),
    feedForwardNorm: describeLayerNorm(reader, `${name}.layer_norm2`, width),
    feedForwardIn: describeLinear(reader, `${name}.mlp.fc1`, [width, feedForwardWidth]),
    feedForwardOut: describeLinear(reader, `${name}.mlp.fc2`, [feedForwardWidth, width]),
  };
}

/** One matrix whose rows are those of queries, keys and values, in this order. */
function describeFusedAttention(
  reader: WeightReader,
  { width, attentionBias }: VisionTransformerConfig,
  name: string,
): Described<VisionAttentionParams> {
  const weight = reader.take(`${name}.qkv.weight`, [3 * width, width]);
  const bias = attentionBias ? reader.take(`${name}.qkv.bias`, [3 * width]) : undefined;
  const third = (index: number): Described<LinearParams> => ({
    weight: weight.rows(index * width, (index + 1) * width), // [width, width]
    ...(bias && { bias: bias.rows(index * width, (index + 1) * width) }), // [width]
  });
  return {
    query: third(0),
    key: third(1), // EVA has no key bias: the Hub stores zeros, which change nothing
    value: third(2),
    output: describeLinear(reader, `${name}.projection`, [width, width]),
  };
}

function describeSeparateAttention(
  reader: WeightReader,
  { width, attentionBias }: VisionTransformerConfig,
  name: string,
): Described<VisionAttentionParams> {
  const bias = { bias: attentionBias };
  return {
    query: describeLinear(reader, `${name}.q_proj`, [width, width], bias),
    key: describeLinear(reader, `${name}.k_proj`, [width, width], bias),
    value: describeLinear(reader, `${name}.v_proj`, [width, width], bias),
    output: describeLinear(reader, `${name}.out_proj`, [width, width]),
  };
}
