import { openCheckpointFolder } from '@blip2/checkpoints/node';
import {
  describeOnlyReader,
  type EngineOptions,
  leavesOf,
  materialize,
  type PlacementOptions,
  readCheckpointJson,
  type RunOptions,
  type Weight,
  WeightReader,
} from '@blip2/core';
import { fixturePath } from '@blip2/testing';
import { eagerEngine } from '@blip2/testing/engine';
import * as tf from '@tensorflow/tfjs-core';
import { readFileSync } from 'node:fs';
import type { LoadedQFormer } from '../loaded-qformer.ts';
import type { QFormerParams } from '../qformer.ts';
import { type QFormerConfig, qformerConfigFromJson } from '../qformer-config.ts';
import { createQFormer } from '../qformer-model.ts';
import { describeQFormer } from '../qformer-weights.ts';

/** The configuration of the first-stage fixture, which has the original's names in a file of its own. */
export function stage1Config(): QFormerConfig {
  const json = JSON.parse(readFileSync(fixturePath('models/stage1/stage1_config.json'), 'utf8'));
  return {
    queries: json.num_query_token,
    width: json.hidden_size,
    layers: json.num_hidden_layers,
    heads: json.num_attention_heads,
    feedForwardWidth: json.intermediate_size,
    activation: json.hidden_act,
    normEpsilon: json.layer_norm_eps,
    crossAttentionFrequency: json.cross_attention_freq,
    imageFeatureWidth: json.encoder_width,
    imageNormEpsilon: json.ln_vision_eps,
    readsText: true,
    vocabSize: json.vocab_size,
    maxPositions: json.max_position_embeddings,
    hasMatchingHead: true,
    hasCaptionHead: true,
    hasTemperature: true,
    contrastiveWidth: json.embed_dim,
    padTokenId: json.pad_token_id,
    beginCaptionTokenId: json.bos_token_id,
    endCaptionTokenId: json.sep_token_id,
  };
}

/** Runs `use` with a fixture's Q-Former, and closes everything. */
export async function withFixture(
  folder: string,
  use: (qformer: LoadedQFormer) => Promise<void>,
  options: PlacementOptions & EngineOptions & RunOptions = {},
): Promise<void> {
  const { checkpoint, config } = await openFixture(folder);
  try {
    using qformer = await createQFormer(checkpoint.weights, config, options);
    await use(qformer);
  } finally {
    checkpoint.dispose();
  }
}

/** {@link withFixture} for each way to run a Q-Former: all must give the same numbers and errors. For `describe.each`. */
export const RUNNERS: readonly [string, typeof withFixture][] = [
  ['by blocks', withFixture],
  ['on an engine', (folder, use, options) => withFixture(folder, use, { engine: eagerEngine(), ...options })],
];

/** Runs `use` with a fixture's parameter tree in memory, and disposes it. */
export async function withParams(
  folder: string,
  use: (params: QFormerParams, config: QFormerConfig) => void | Promise<void>,
): Promise<void> {
  const { checkpoint, config } = await openFixture(folder);
  const described = describeQFormer(new WeightReader(checkpoint.weights, 'fixture'), config);
  const params = await materialize<QFormerParams>(described);
  try {
    await use(params, config);
  } finally {
    tf.dispose(params as unknown as tf.TensorContainer);
    checkpoint.dispose();
  }
}

async function openFixture(folder: string) {
  const checkpoint = await openCheckpointFolder(fixturePath('models', folder));
  const { weights } = checkpoint;
  const config =
    folder === 'stage1'
      ? stage1Config()
      : qformerConfigFromJson(await readCheckpointJson(checkpoint, 'config.json'), { weights });
  return { checkpoint, config };
}

/** The tensors of a tree by their names in checkpoints; a tied weight has its first name. */
export function namedTensors(params: QFormerParams, config: QFormerConfig): Map<string, tf.Tensor> {
  const names = leavesOf(describeQFormer(describeOnlyReader('fixture'), config)).map((leaf) => (leaf as Weight).name);
  const named = new Map<string, tf.Tensor>();
  leavesOf(params).forEach((tensor, index) => {
    if (![...named.values()].includes(tensor as tf.Tensor)) named.set(names[index]!, tensor as tf.Tensor);
  });
  return named;
}
