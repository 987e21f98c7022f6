import {
  type Checkpoint,
  type Described,
  type EngineInputs,
  type HostTensor,
  readCheckpointJson,
  WeightReader,
} from '@blip2/core';
import { describeQFormer, type QFormerConfig, type QFormerParams } from '@blip2/qformer';
import { separateParameters, type StageOneBatch, stageOneLoss } from '@blip2/training';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import type { CompiledTraining } from './compiled-training.ts';
import { stageOneConfig } from './data.ts';
import type { InputReader } from './training.ts';

/** The first stage in training, its batch as tensors: what the eager engine needs. */
export interface EagerTraining {
  readonly config: QFormerConfig;
  /** Weights by reference; those that are tied are the same object. */
  readonly params: Described<QFormerParams>;
  readonly batch: StageOneBatch;
}

/** The first stage for the compiled engine. */
export async function compiledStageOne(
  checkpoint: Checkpoint,
  read: InputReader,
): Promise<CompiledTraining<QFormerParams, StageOneBatch>> {
  const { config, params } = await describeStageOne(checkpoint);
  return {
    parameters: separateParameters<QFormerParams>(params),
    batch: (await readBatch(read)) as EngineInputs<StageOneBatch>,
    loss: (live, inputs) => stageOneLoss(live, config, inputs),
  };
}

/** The first stage for the eager engine. */
export async function eagerStageOne(checkpoint: Checkpoint, read: InputReader): Promise<EagerTraining> {
  return { ...(await describeStageOne(checkpoint)), batch: tensorsOf(await readBatch(read)) as StageOneBatch };
}

async function describeStageOne(checkpoint: Checkpoint): Promise<Pick<EagerTraining, 'config' | 'params'>> {
  const config = stageOneConfig(await readCheckpointJson(checkpoint, 'config.json'));
  return { config, params: describeQFormer(new WeightReader(checkpoint.weights, 'Q-Former'), config) };
}

async function readBatch(read: InputReader): Promise<HostTree> {
  const features = await read('features'); // [batch, imageTokens, imageFeatureWidth]
  const batch = features.shape[0]!;
  return {
    features,
    text: { ids: await read('text_ids'), mask: await read('text_mask') }, // [batch, tokens] each
    imageIds: indices(batch, 0), // [batch]: each image once
    // The next image and the next text, so that both sides of the benchmark compute the same numbers.
    negatives: { imageForEachText: indices(batch, 1), textForEachImage: indices(batch, 1) }, // [batch] each
  };
}

/** Tensors in JavaScript's memory, by name. */
interface HostTree {
  readonly [name: string]: HostTensor | HostTree;
}

function tensorsOf(tree: HostTree): unknown {
  return Object.fromEntries(
    Object.entries(tree).map(([name, value]) => [name, isHostTensor(value) ? tensorOf(value) : tensorsOf(value)]),
  );
}

function tensorOf({ shape, data }: HostTensor): Tensor {
  return tf.tensor(data, [...shape], data instanceof Int32Array ? 'int32' : 'float32') as unknown as Tensor<Rank>;
}

function isHostTensor(value: HostTensor | HostTree): value is HostTensor {
  return 'data' in value;
}

/** All rows, each this many places on: int32 `[batch]`. */
function indices(batch: number, offset: number): HostTensor {
  return { shape: [batch], data: Int32Array.from({ length: batch }, (_, row) => (row + offset) % batch) };
}

/** Row `i` of the result is row `i + 1`, and the last is the first. */
export function nextRows<X extends Tensor2D | Tensor3D>(x: X): X {
  const rest = x.shape.slice(1);
  const zeros = rest.map(() => 0);
  const first = tf.slice(x, [0, ...zeros], [1, ...rest]);
  return tf.concat([tf.slice(x, [1, ...zeros], [x.shape[0] - 1, ...rest]), first], 0) as unknown as X; // as x
}
