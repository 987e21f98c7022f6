import type { QFormerParams } from '@blip2/qformer';
import { separateParameters, type StageOneBatch, stageOneLoss } from '@blip2/training';
import { createTrainingStep } from '@blip2/training/node';
import { compilerSettings } from './engine.ts';
import type { LoadedTask } from './our-tasks.ts';
import type { Task } from './protocol.ts';
import { ADAMW } from './stage-one.ts';
import type { TrainingInputs } from './training.ts';

/** A step of the first stage as one compiled graph: forward, backward and AdamW. */
export async function loadCompiledTraining({ config, params, batch }: TrainingInputs, task: Task): Promise<LoadedTask> {
  const step = await createTrainingStep<QFormerParams, StageOneBatch>((live, inputs) => stageOneLoss(live, config, inputs), {
    ...ADAMW,
    // As in LAVIS: the temperature, which has no axes, decays too.
    decays: (_, shape) => shape.length !== 1,
    parameters: separateParameters<QFormerParams>(params),
    example: batch,
    target: compilerSettings(task),
  });
  return {
    async run() {
      const { metrics } = await step.run(batch, ADAMW);
      return { values: metrics };
    },
    output: () => Promise.resolve({ shape: [0], values: [] }),
  };
}
