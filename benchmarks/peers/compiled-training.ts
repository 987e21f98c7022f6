import type { LossAndMetrics } from '@blip2/compiler';
import type { EngineInputs } from '@blip2/core';
import type { SeparatedParameters } from '@blip2/training';
import { createTrainingStep } from '@blip2/training/node';
import { compilerSettings } from './engine.ts';
import type { LoadedTask } from './our-tasks.ts';
import type { Task } from './protocol.ts';

/** Source: BLIP-2 (arXiv 2301.12597), section 4.1. */
export const ADAMW = { learningRate: 1e-4, betas: [0.9, 0.98], epsilon: 1e-8, weightDecay: 0.05 } as const;

/** What a compiled step of a stage is made of. */
export interface CompiledTraining<Tree, Batch> {
  readonly parameters: SeparatedParameters<Tree>;
  /** In JavaScript's memory. */
  readonly batch: EngineInputs<Batch>;
  loss(params: Tree, batch: Batch): LossAndMetrics;
}

/** A step of training as one compiled graph: forward, backward and AdamW. */
export async function loadCompiledTraining<Tree, Batch>(
  { parameters, batch, loss }: CompiledTraining<Tree, Batch>,
  task: Task,
): Promise<LoadedTask> {
  const step = await createTrainingStep<Tree, Batch>(loss, {
    ...ADAMW,
    // As in LAVIS: the temperature, which has no axes, decays too.
    decays: (_, shape) => shape.length !== 1,
    parameters,
    example: batch,
    target: compilerSettings(task),
  });
  return {
    async run() {
      const { loss: whole, metrics } = await step.run(batch, ADAMW);
      return { values: { ...metrics, loss: whole } };
    },
    output: () => Promise.resolve({ shape: [0], values: [] }),
  };
}
