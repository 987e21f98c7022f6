import '@tensorflow/tfjs';
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { type HostTensor, WeightReader } from '@blip2/core';
import { describeQFormer, type QFormerParams } from '@blip2/qformer';
import { fixturePath, readGolden, TOLERANCE } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import { stage1Config } from '../../../qformer/src/__fixtures__/fixture-models.ts';
import { namedTensors } from '../parameters/named-tensors.ts';
import { separateParameters } from '../parameters/separate-parameters.ts';
import { createTrainingStep } from '../steps/create-training-step.ts';
import { expectGradientNorms, expectGradients, firstGradients, hubName } from './parity-test-support.ts';
import { type StageOneBatch, stageOneLoss } from './stage-one.ts';

const golden = readGolden('models/stage1');

function hostTensor(name: string): HostTensor {
  const { shape, data } = golden.get(name);
  return { shape, data: data as Float32Array | Int32Array };
}

/** The golden's batch, with the negatives that its reference drew, or with a picture that two rows show. */
function batchOf(imageIds: number[], negatives: { image_for_each_text: number[]; text_for_each_image: number[] }) {
  const numbers = (values: number[]): HostTensor => ({ shape: [values.length], data: Int32Array.from(values) });
  return {
    features: hostTensor('image_features'),
    text: { ids: hostTensor('input_ids'), mask: hostTensor('attention_mask') },
    imageIds: numbers(imageIds),
    negatives: {
      imageForEachText: numbers(negatives.image_for_each_text),
      textForEachImage: numbers(negatives.text_for_each_image),
    },
  };
}

async function openStep(engine: 'eager' | 'compiled', batch: object) {
  const checkpoint = await openCheckpointFolder(fixturePath('models', 'stage1'));
  const config = stage1Config();
  const described = describeQFormer(new WeightReader(checkpoint.weights, 'Q-Former'), config);
  const parameters = separateParameters<QFormerParams>(described);
  const { betas, eps, weight_decay: weightDecay } = golden.json.adamw;
  const step = await createTrainingStep<QFormerParams, StageOneBatch>((params, each) => stageOneLoss(params, config, each), {
    parameters,
    example: batch as never,
    engine,
    betas,
    epsilon: eps,
    weightDecay,
    decays: (_, shape) => shape.length !== 1,
  });
  return { checkpoint, parameters, step };
}

it.each(['eager', 'compiled'] as const)(
  'has the losses of five AdamW steps, the gradients of the first, and the parameters after them, %s',
  async (engine) => {
    await tf.setBackend('cpu');
    const { losses, grad_norm_total: norm, negatives, adamw } = golden.json;
    const batch = batchOf([0, 1, 2, 3], negatives);
    const { checkpoint, parameters, step } = await openStep(engine, batch);
    for (const [index, expected] of adamw.losses_before_each_step.entries()) {
      const { loss, metrics, gradientNorm } = await step.run(batch as never, { learningRate: adamw.lr });
      expect([loss]).toBeAllclose([typeof expected === 'number' ? expected : expected.loss], TOLERANCE.activations);
      if (index > 0) continue;
      const { contrast, matching, captioning } = metrics;
      expect([contrast, matching, captioning]).toBeAllclose(
        [losses.loss_itc, losses.loss_itm, losses.loss_lm],
        TOLERANCE.activations,
      );
      expect(gradientNorm / norm).toBeCloseTo(1, 4);
      const gradients = firstGradients(await step.state(), parameters.trained, checkpoint.weights, adamw.betas[0]);
      expectGradients(gradients, golden, hubName);
      expectGradientNorms(gradients, golden.json.grad_norms, hubName);
    }
    const { params } = await step.state();
    const named = namedTensors(parameters.trained, params as never, (name) => checkpoint.weights.get(name)?.shape);
    for (const [name, lavis] of Object.entries(AFTER_FIVE_STEPS)) {
      const { values } = named.find((tensor) => tensor.name === name)!;
      expect(values, name).toBeAllclose(golden.get(`adamw5.${lavis}`), 1e-4);
    }
    step.dispose();
    checkpoint.dispose();
  },
);

const AFTER_FIVE_STEPS = {
  query_tokens: 'query_tokens',
  temp: 'temp',
  'vision_projection.weight': 'vision_proj.weight',
  'itm_head.weight': 'itm_head.weight',
  'vision_model.post_layernorm.weight': 'ln_vision.weight',
  'qformer.encoder.layer.0.crossattention.attention.value.weight':
    'Qformer.bert.encoder.layer.0.crossattention.self.value.weight',
  'cls.predictions.bias': 'Qformer.cls.predictions.bias',
};

it.each(['eager', 'compiled'] as const)('counts texts of one picture as its own, %s', async (engine) => {
  await tf.setBackend('cpu');
  const { image_id_variant: variant } = golden.json;
  const batch = batchOf(variant.image_id, variant);
  const { checkpoint, step } = await openStep(engine, batch);
  const { metrics } = await step.run(batch as never, { learningRate: 0 });
  const { loss_itc: contrast, loss_itm: matching, loss_lm: captioning } = variant.losses;
  expect([metrics['contrast'], metrics['matching'], metrics['captioning']]).toBeAllclose(
    [contrast, matching, captioning],
    TOLERANCE.activations,
  );
  step.dispose();
  checkpoint.dispose();
});
