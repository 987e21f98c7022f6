import { compileTrainingStep } from '@blip2/compiler/node';
import type { Described, TensorSpec } from '@blip2/core';
import { contrastiveLoss } from '@blip2/losses';
import type { CaptionHeadParams, QFormerConfig, QFormerParams, QFormerTextParams } from '@blip2/qformer';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar } from '@tensorflow/tfjs-core';
import { compilerSettings } from './engine.ts';
import type { LoadedTask } from './our-tasks.ts';
import type { Task } from './protocol.ts';
import { ADAMW, allPairsLoss, captionLoss, encodeStageOne, type StageOneBatch } from './stage-one.ts';
import type { TrainingInputs } from './training.ts';

/** Parameters without the matrix of the caption head, which is the table of words. */
type UntiedParams = Omit<QFormerParams, 'text'> & {
  readonly text: Omit<QFormerTextParams, 'captionHead'> & { readonly captionHead: UntiedHead };
};

type UntiedHead = Omit<CaptionHeadParams, 'decoder'> & { readonly decoder: Pick<CaptionHeadParams['decoder'], 'bias'> };

/** A step of the first stage as one compiled graph: forward, backward and AdamW. */
export async function loadCompiledTraining({ config, params, batch }: TrainingInputs, task: Task): Promise<LoadedTask> {
  const spec = ({ shape, dtype }: tf.Tensor): TensorSpec => ({ shape, dtype: dtype as 'float32' | 'int32' });
  const step = await compileTrainingStep<UntiedParams, StageOneBatch>((live, inputs) => stageOneLoss(live, config, inputs), {
    ...compilerSettings(task),
    ...ADAMW,
    // As in LAVIS: the temperature, which has no axes, decays too.
    decays: (_, shape) => shape.length !== 1,
    params: untied(params),
    batch: { features: spec(batch.features), text: { ids: spec(batch.text.ids), mask: spec(batch.text.mask) } },
  });
  return {
    async run() {
      const { metrics } = await step.run(batch, ADAMW);
      return { values: metrics };
    },
    output: () => Promise.resolve({ shape: [0], values: [] }),
  };
}

/** Sum of the three losses, and each of them. */
function stageOneLoss(live: UntiedParams, config: QFormerConfig, batch: StageOneBatch) {
  const { captionHead, words } = live.text;
  const decoder = { weight: words, bias: captionHead.decoder.bias };
  const params: QFormerParams = { ...live, text: { ...live.text, captionHead: { ...captionHead, decoder } } };
  const { vision, texts, keyValues } = encodeStageOne(params, config, batch);
  const { loss: contrast } = contrastiveLoss({ images: vision, texts }, params.heads.temperature!);
  const captioning = captionLoss(params, config, keyValues, batch.text);
  const matching = allPairsLoss(params, config, batch);
  return { loss: tf.addN([contrast, captioning, matching]) as Scalar, contrast, captioning, matching };
}

function untied({ text, ...others }: Described<QFormerParams>): Described<UntiedParams> {
  const { captionHead, ...tables } = text!;
  const { dense, norm, decoder } = captionHead!;
  return {
    ...others,
    text: { ...tables, captionHead: { dense, norm, decoder: { bias: decoder.bias } } },
  } as Described<UntiedParams>;
}
