// tfjs-core alone knows no gradients; the union package registers them all.
import '@tensorflow/tfjs';
import { openCheckpointFolder, openSafetensorsFile } from '@blip2/checkpoints/node';
import { type Checkpoint, type HostTensor, InputError } from '@blip2/core';
import { loadCompiledTraining } from './compiled-training.ts';
import { loadEagerTraining } from './eager-training.ts';
import type { OurEngine } from './engine.ts';
import type { LoadedTask } from './our-tasks.ts';
import type { Task } from './protocol.ts';
import { compiledStageOne, eagerStageOne } from './stage-one.ts';
import { compiledStageTwo } from './stage-two.ts';

/** A training task. */
export type TrainingTask = Extract<Task, { readonly kind: 'train' }>;

/** Reads inputs of a training task by name, `[batch, …]`, into JavaScript's memory, where batches come from in training. */
export type InputReader = (name: string) => Promise<HostTensor>;

/** A training step of our side. @throws {InputError} for the second stage with the eager engine. */
export async function loadTraining(kind: OurEngine, task: TrainingTask): Promise<LoadedTask> {
  const checkpoint = await openCheckpointFolder(task.checkpoint);
  try {
    return await loadStage(kind, task, checkpoint);
  } finally {
    checkpoint.dispose(); // weights were read, frozen ones by the runtime
  }
}

async function loadStage(kind: OurEngine, task: TrainingTask, checkpoint: Checkpoint): Promise<LoadedTask> {
  const read: InputReader = (name) => readHostInput(task, name);
  if (kind === 'compiled' && task.stage === 1) return loadCompiledTraining(await compiledStageOne(checkpoint, read), task);
  if (kind === 'compiled') return loadCompiledTraining(await compiledStageTwo(checkpoint, read), task);
  if (task.stage === 1) return loadEagerTraining(await eagerStageOne(checkpoint, read));
  throw new InputError('The eager engine: got stage 2, expected stage 1, which is measured with it. Take the compiled engine.');
}

async function readHostInput({ inputs, batch }: TrainingTask, name: string): Promise<HostTensor> {
  const file = await openSafetensorsFile(inputs);
  try {
    const weight = file.get(name)!.rows(0, batch);
    return { shape: weight.shape.slice(), data: (await weight.read()) as HostTensor['data'] };
  } finally {
    file.dispose();
  }
}
