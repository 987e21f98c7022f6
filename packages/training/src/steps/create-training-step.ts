import { type LossAndMetrics, mapTree, type OptimizerOptions } from '@blip2/compiler';
import { compileTrainingStep, type NodeTargetOptions } from '@blip2/compiler/node';
import type { EngineInputs, HostTensor, InputSpecs, RunOptions } from '@blip2/core';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { ByPath, SeparatedParameters } from '../parameters/separate-parameters.ts';
import type { AccumulatingStep } from '../trainer/trainable-step.ts';
import { createEagerStep } from './eager-step.ts';

/** How a training step is made. */
export interface TrainingStepSettings<Tree, Batch> extends OptimizerOptions, RunOptions {
  /** What trains and what does not. */
  readonly parameters: SeparatedParameters<Tree>;
  /** A batch of the size that all will have. */
  readonly example: EngineInputs<Batch>;
  /** `compiled`: one graph of ONNX Runtime; `eager`: tfjs operations on the current backend. @default 'compiled' */
  readonly engine?: 'compiled' | 'eager';
  /** Whether steps may take several batches, with `runAccumulated`. An eager step always may. @default false */
  readonly accumulate?: boolean;
  /** Of the compiled step. */
  readonly target?: NodeTargetOptions;
}

/**
 * A training step for a loss of a parameter tree: forward, backward, clipping and AdamW.
 *
 * @param loss - A pure function, differentiable in what trains.
 * @returns the step, the caller's to dispose. Both engines give the same losses.
 *
 * @example
 * const step = await createTrainingStep((params, batch) => stageOneLoss(params, config, batch), { parameters, example });
 */
export async function createTrainingStep<Tree, Batch>(
  loss: (params: Tree, batch: Batch) => LossAndMetrics,
  {
    parameters,
    example,
    engine = 'compiled',
    accumulate,
    target,
    abortSignal,
    onProgress,
    ...optimizer
  }: TrainingStepSettings<Tree, Batch>,
): Promise<AccumulatingStep<EngineInputs<Batch>>> {
  const { trained, frozen, join } = parameters;
  const compute = (live: ByPath<Tensor>, batch: Batch, fixed: ByPath<Tensor>): LossAndMetrics => loss(join(live, fixed), batch);
  if (engine === 'eager') {
    return createEagerStep(compute, { params: trained, frozen, abortSignal, ...optimizer }) as unknown as Promise<
      AccumulatingStep<EngineInputs<Batch>>
    >;
  }
  const step = await compileTrainingStep<ByPath<Tensor>, Batch, ByPath<Tensor>>(compute, {
    ...target,
    ...optimizer,
    params: trained,
    frozen,
    accumulate,
    batch: specsOf(example) as InputSpecs<Batch>,
    abortSignal,
    onProgress,
  });
  return step as unknown as AccumulatingStep<EngineInputs<Batch>>;
}

/** Shapes and types of a batch. */
function specsOf(batch: unknown): unknown {
  return mapTree<HostTensor | Tensor>(batch, (leaf) => ({ shape: leaf.shape, dtype: dtypeOf(leaf) }));
}

function dtypeOf(leaf: HostTensor | Tensor): string {
  if ('dtype' in leaf) return leaf.dtype;
  return leaf.data instanceof Int32Array ? 'int32' : leaf.data instanceof Float32Array ? 'float32' : 'bool';
}
