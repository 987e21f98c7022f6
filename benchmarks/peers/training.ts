// tfjs-core alone knows no gradients; the union package registers them all.
import '@tensorflow/tfjs';
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { type Described, readCheckpointJson, WeightReader } from '@blip2/core';
import { describeQFormer, type QFormerConfig, type QFormerParams } from '@blip2/qformer';
import type { StageOneBatch } from '@blip2/training';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank } from '@tensorflow/tfjs-core';
import { loadCompiledTraining } from './compiled-training.ts';
import { stageOneConfig } from './data.ts';
import { loadEagerTraining } from './eager-training.ts';
import type { OurEngine } from './engine.ts';
import { type LoadedTask, readInput } from './our-tasks.ts';
import type { Task } from './protocol.ts';
import { nextIndices } from './stage-one.ts';

/** A training task with everything that both of our engines need. */
export interface TrainingInputs {
  readonly config: QFormerConfig;
  /** Weights by reference; those that are tied are the same object. */
  readonly params: Described<QFormerParams>;
  readonly batch: StageOneBatch;
  /** Closes the checkpoint; weights cannot be read afterwards. */
  close(): void;
}

/** A training step of our side. */
export async function loadTraining(kind: OurEngine, task: Extract<Task, { readonly kind: 'train' }>): Promise<LoadedTask> {
  const inputs = await readTraining(task);
  try {
    return await (kind === 'eager' ? loadEagerTraining(inputs) : loadCompiledTraining(inputs, task));
  } finally {
    inputs.close();
  }
}

async function readTraining(task: Extract<Task, { readonly kind: 'train' }>): Promise<TrainingInputs> {
  const checkpoint = await openCheckpointFolder(task.checkpoint);
  const config = stageOneConfig(await readCheckpointJson(checkpoint, 'config.json'));
  return {
    config,
    params: describeQFormer(new WeightReader(checkpoint.weights, 'Q-Former'), config),
    batch: {
      features: await readInput<Rank.R3>(task, 'features', task.batch), // [batch, imageTokens, imageFeatureWidth]
      text: {
        ids: await readInput<Rank.R2>(task, 'training_ids', task.batch), // [batch, tokens]
        mask: await readInput<Rank.R2>(task, 'training_mask', task.batch), // [batch, tokens]
      },
      imageIds: tf.range(0, task.batch, 1, 'int32'), // [batch]: each image once
      negatives: { imageForEachText: nextIndices(task.batch), textForEachImage: nextIndices(task.batch) },
    },
    close: () => checkpoint.dispose(),
  };
}
