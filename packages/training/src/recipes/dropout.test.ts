import '@tensorflow/tfjs';
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { type Described, dropoutPoolSize, type HostTensor, readCheckpointJson, seededRandom, WeightReader } from '@blip2/core';
import { describeLanguageModel, optConfigFromJson, type OptParams, t5ConfigFromJson, type T5Params } from '@blip2/llm-adapters';
import { describeQFormer, qformerConfigFromJson, type QFormerParams } from '@blip2/qformer';
import { fixturePath, TOLERANCE } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { stage1Config } from '../../../qformer/src/__fixtures__/fixture-models.ts';
import { indexedBatches } from '../batches/indexed-batches.ts';
import { separateParameters } from '../parameters/separate-parameters.ts';
import { createTrainingStep, type TrainingStepSettings } from '../steps/create-training-step.ts';
import type { TrainableStep } from '../trainer/trainable-step.ts';
import { drawDropoutPool, type DropoutOptions, stageOneDropoutPool, stageTwoDropoutPool } from './dropout-pool.ts';
import { type StageOneBatch, stageOneLoss } from './stage-one.ts';
import { type LanguageModelParams, type StageTwoBatch, stageTwoLoss } from './stage-two.ts';

/** A recipe on a small model with a small batch. */
interface SmallRecipe {
  /** What the helper asks for. */
  readonly poolSize: number;
  readonly batch: object;
  open(
    engine: 'eager' | 'compiled',
    batch: object,
    options?: DropoutOptions,
    settings?: Partial<TrainingStepSettings<unknown, unknown>>,
  ): Promise<TrainableStep<object>>;
  dispose(): void;
}

const ROWS = 3;
const IMAGE_TOKENS = 9;

function integers(rows: number, tokens: number, valueOf: (index: number) => number): HostTensor {
  return { shape: [rows, tokens], data: Int32Array.from({ length: rows * tokens }, (_, index) => valueOf(index)) };
}

function numbers(shape: number[], seed: number): HostTensor {
  return { shape, data: drawDropoutPool(seededRandom(seed), tf.util.sizeFromShape(shape)).data };
}

async function stageOne(): Promise<SmallRecipe> {
  const checkpoint = await openCheckpointFolder(fixturePath('models', 'stage1'));
  const config = stage1Config();
  const parameters = separateParameters<QFormerParams>(describeQFormer(new WeightReader(checkpoint.weights, 'Q-Former'), config));
  const textTokens = 5;
  return {
    poolSize: stageOneDropoutPool(config, { batch: ROWS, imageTokens: IMAGE_TOKENS, textTokens }),
    batch: {
      features: numbers([ROWS, IMAGE_TOKENS, config.imageFeatureWidth], 1),
      text: {
        ids: integers(ROWS, textTokens, (index) => 5 + ((index * 7) % 20)),
        mask: integers(ROWS, textTokens, (index) => (index % textTokens === 4 ? 0 : 1)),
      },
      imageIds: { shape: [ROWS], data: Int32Array.of(0, 1, 2) },
      negatives: { images: numbers([ROWS], 2), texts: numbers([ROWS], 3) },
    },
    open: (engine, example, options, settings) =>
      createTrainingStep<QFormerParams, StageOneBatch>((params, batch) => stageOneLoss(params, config, batch, options), {
        ...settings,
        parameters,
        example: example as never,
        engine,
      }) as never,
    dispose: () => checkpoint.dispose(),
  };
}

async function stageTwo(folder: 'blip2-opt' | 'blip2-flan-t5'): Promise<SmallRecipe> {
  const checkpoint = await openCheckpointFolder(fixturePath('models', folder));
  const json = (await readCheckpointJson(checkpoint, 'config.json')) as { text_config: object };
  const config = qformerConfigFromJson(json);
  const isOpt = folder === 'blip2-opt';
  const model = isOpt
    ? { kind: 'opt' as const, config: optConfigFromJson(json.text_config) }
    : { kind: 't5' as const, config: t5ConfigFromJson(json.text_config) };
  type Tree = { readonly bridge: QFormerParams; readonly language: OptParams | T5Params };
  const parts = {
    bridge: describeQFormer(new WeightReader(checkpoint.weights, 'Q-Former'), config),
    language: describeLanguageModel(new WeightReader(checkpoint.weights, 'language model'), json.text_config),
  } as Described<Tree>;
  const parameters = separateParameters<Tree>(parts, (name) => !name.startsWith('language_model.'));
  const [textTokens, targetTokens] = [6, 4];
  const token = (index: number): number => 3 + ((index * 11) % 50);
  const labels = integers(ROWS, isOpt ? textTokens : targetTokens, token);
  return {
    poolSize: stageTwoDropoutPool(config, model, { batch: ROWS, imageTokens: IMAGE_TOKENS, textTokens, targetTokens }),
    batch: {
      features: numbers([ROWS, IMAGE_TOKENS, config.imageFeatureWidth], 1),
      texts: isOpt
        ? { ids: labels, labels }
        : {
            promptIds: integers(ROWS, textTokens, token),
            promptMask: integers(ROWS, textTokens, () => 1),
            decoderIds: labels,
            labels,
          },
    },
    open: (engine, example, options, settings) =>
      createTrainingStep<Tree, StageTwoBatch>(
        ({ bridge, language }, batch) =>
          stageTwoLoss(bridge, config, { ...model, params: language } as LanguageModelParams, batch, options),
        { ...settings, parameters, example: example as never, engine },
      ) as never,
    dispose: () => checkpoint.dispose(),
  };
}

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const withPool = (batch: object, size: number, seed = 1): object => ({
  ...batch,
  dropout: drawDropoutPool(seededRandom(seed), size),
});

describe.each([
  { name: 'stage 1', make: stageOne },
  { name: 'stage 2 with OPT', make: () => stageTwo('blip2-opt') },
  { name: 'stage 2 with T5', make: () => stageTwo('blip2-flan-t5') },
])('dropout in $name', ({ make }) => {
  it('drops the same eagerly and compiled, step after step, and other entries with other numbers', async () => {
    const { batch, poolSize, open, dispose } = await make();
    const reports: { loss: number; gradientNorm: number }[][] = [];
    for (const engine of ['eager', 'compiled'] as const) {
      const step = await open(engine, withPool(batch, poolSize));
      reports.push([]);
      for (const seed of [1, 1, 2]) {
        const { loss, gradientNorm } = await step.run(withPool(batch, poolSize, seed), { learningRate: seed === 1 ? 0 : 1e-3 });
        reports.at(-1)!.push({ loss, gradientNorm });
      }
      step.dispose();
    }
    const [eager, compiled] = reports as [(typeof reports)[0], (typeof reports)[0]];
    for (const [index, { loss, gradientNorm }] of compiled.entries()) {
      expect([loss]).toBeAllclose([eager[index]!.loss], TOLERANCE.activations);
      expect(gradientNorm / eager[index]!.gradientNorm).toBeCloseTo(1, 3);
    }
    for (const steps of reports) {
      expect(steps[1]).toEqual(steps[0]); // the same numbers, and nothing learned between them
      expect(Math.abs(steps[2]!.loss - steps[1]!.loss)).toBeGreaterThan(1e-4);
    }
    dispose();
  });

  it('needs as many numbers as the helper says, less its room, and not one fewer', async () => {
    const { batch, poolSize, open, dispose } = await make();
    const largest = poolSize - (dropoutPoolSize(1) - 1);
    const step = await open('eager', batch);
    await step.run(withPool(batch, largest), { learningRate: 0 });
    await expect(step.run(withPool(batch, largest - 1), { learningRate: 0 })).rejects.toThrow(`has ${largest} entries`);
    step.dispose();
    dispose();
  });

  it('is nothing at rate 0', async () => {
    const { batch, poolSize, open, dispose } = await make();
    const [none, zero, some] = await Promise.all([
      open('eager', batch),
      open('eager', batch, { dropoutRate: 0 }),
      open('eager', batch),
    ]);
    const { loss } = await none!.run(batch, { learningRate: 0 });
    expect(await zero!.run(withPool(batch, poolSize), { learningRate: 0 })).toMatchObject({ loss });
    expect((await some!.run(withPool(batch, poolSize), { learningRate: 0 })).loss).not.toBe(loss);
    for (const step of [none, zero, some]) step!.dispose();
    dispose();
  });
});

it('a resumed run drops what an uninterrupted one would have dropped', async () => {
  const open = () =>
    indexedBatches({ length: 10, batchSize: 2, seed: 4, make: (_, random) => ({ dropout: drawDropoutPool(random, 50) }) });
  const [whole, resumed] = [open(), open()];
  const [first, position] = [await whole.next({}), whole.position()];
  await resumed.seek(position);
  const second = await resumed.next({});
  expect(second).toEqual(await whole.next({}));
  expect(second).not.toEqual(first);
});
