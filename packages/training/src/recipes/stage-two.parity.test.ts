import '@tensorflow/tfjs';
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { compileTrainingStep } from '@blip2/compiler/node';
import { type Described, type HostTensor, IGNORED_LABEL, readCheckpointJson, WeightReader } from '@blip2/core';
import { describeLanguageModel, optConfigFromJson, type OptParams, t5ConfigFromJson, type T5Params } from '@blip2/llm-adapters';
import { describeQFormer, qformerConfigFromJson, type QFormerParams } from '@blip2/qformer';
import { fixturePath, readGolden, TOLERANCE } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { namedTensors } from '../parameters/named-tensors.ts';
import { type ByPath, separateParameters } from '../parameters/separate-parameters.ts';
import { createEagerStep } from '../steps/eager-step.ts';
import type { StepState } from '../trainer/trainable-step.ts';
import { expectGradients, expectParameters, firstGradients } from './parity-test-support.ts';
import { type StageTwoBatch, stageTwoLoss } from './stage-two.ts';

const integers = (rows: number[][]): HostTensor => ({
  shape: [rows.length, rows[0]!.length],
  data: Int32Array.from(rows.flat()),
});

interface GoldenBatch {
  readonly input_ids: number[][];
  readonly attention_mask: number[][];
  readonly labels: number[][];
}

/** The golden's batch without the places of the queries. */
function textsOf(golden: GoldenBatch, queries: number, isOpt: boolean, decoderStart: number) {
  const { input_ids: ids, attention_mask: mask, labels } = golden;
  const cut = (rows: number[][]): number[][] => rows.map((row) => row.slice(queries));
  if (isOpt) return { ids: integers(cut(ids)), labels: integers(cut(labels)) };
  const decoderIds = labels.map((row) => [
    decoderStart,
    ...row.slice(0, -1).map((label) => (label === IGNORED_LABEL ? 0 : label)),
  ]);
  return {
    promptIds: integers(cut(ids)),
    promptMask: integers(cut(mask)),
    decoderIds: integers(decoderIds),
    labels: integers(labels),
  };
}

describe.each(['blip2-opt', 'blip2-flan-t5'])('stage 2 of %s', (folder) => {
  it.each(['eager', 'compiled'])(
    'has the losses and gradients of five AdamW steps, and the parameters after them, %s',
    async (engine) => {
      await tf.setBackend('cpu');
      const golden = readGolden(`models/${folder}`);
      const checkpoint = await openCheckpointFolder(fixturePath('models', folder));
      const json = (await readCheckpointJson(checkpoint, 'config.json')) as { text_config: object };
      const config = qformerConfigFromJson(json);
      const bridge = describeQFormer(new WeightReader(checkpoint.weights, 'Q-Former'), config);
      const reader = new WeightReader(checkpoint.weights, 'language model');
      const language = describeLanguageModel(reader, json.text_config) as Described<OptParams | T5Params>;
      const isOpt = folder === 'blip2-opt';
      type Tree = { readonly bridge: QFormerParams; readonly language: OptParams | T5Params };
      const { trained, frozen, join } = separateParameters<Tree>(
        { bridge, language } as Described<Tree>,
        (name) => !/^(vision_model|language_model)\./.test(name),
      );
      const t5Config = isOpt ? undefined : t5ConfigFromJson(json.text_config);
      const loss = (live: ByPath<tf.Tensor>, batch: StageTwoBatch, fixed: ByPath<tf.Tensor>) => {
        const params = join(live, fixed);
        const model = isOpt
          ? { kind: 'opt' as const, config: optConfigFromJson(json.text_config), params: params.language as OptParams }
          : { kind: 't5' as const, config: t5Config!, params: params.language as T5Params };
        return stageTwoLoss(params.bridge, config, model, batch);
      };
      const features = golden.get('vision.hidden_states.3');
      const texts = textsOf(golden.json.training_batch, config.queries, isOpt, t5Config?.decoderStartTokenId ?? 0);
      const batch = { features: { shape: features.shape, data: features.data as Float32Array }, texts };
      const {
        lr,
        betas,
        eps,
        weight_decay: weightDecay,
        steps,
        losses_before_each_step: losses,
        grad_norm_before_each_step: norms,
      } = golden.json.adamw;
      const optimizer = { betas, epsilon: eps, weightDecay };
      using step =
        engine === 'eager'
          ? await createEagerStep(loss, { params: trained, frozen, ...optimizer })
          : await compileTrainingStep(loss, {
              params: trained as never,
              frozen: frozen as never,
              batch: specsOf(batch) as never,
              ...optimizer,
            });
      const before = tf.memory().numTensors;
      for (let index = 0; index < steps; index++) {
        const report = await step.run(batch as never, { learningRate: lr });
        expect([report.loss]).toBeAllclose([losses[index]], TOLERANCE.activations);
        expect(report.gradientNorm / norms[index]).toBeCloseTo(1, 3);
        if (index > 0) continue;
        expectGradients(firstGradients((await step.state()) as StepState, trained, checkpoint.weights, betas[0]), golden);
      }
      const { params } = await step.state();
      const parameters = namedTensors(trained, params as never, (name) => checkpoint.weights.get(name)?.shape);
      expectParameters(new Map(parameters.map(({ name, values }) => [name, values])), golden);
      const after = await step.run(batch as never, { learningRate: lr });
      expect([after.loss]).toBeAllclose([golden.json.adamw.loss_after_5_steps], TOLERANCE.activations);
      expect(tf.memory().numTensors).toBe(before);
      checkpoint.dispose();
    },
  );
});

function specsOf(tree: object): unknown {
  return Object.fromEntries(
    Object.entries(tree).map(([key, value]) => [
      key,
      'data' in value
        ? { shape: value.shape, dtype: value.data instanceof Int32Array ? 'int32' : 'float32' }
        : specsOf(value as object),
    ]),
  );
}
