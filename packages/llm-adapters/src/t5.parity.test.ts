import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { leavesOf, linear, materialize, readCheckpointJson, type Weight } from '@blip2/core';
import { expectNoLeak, fixturePath, type Golden, readGolden, TOLERANCE } from '@blip2/testing';
import '@blip2/testing/gradients';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, Scalar, Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  batchOf,
  expectGradient,
  expectWhereReal,
  loadT5Fixture,
  readFixtureWeight,
  rowsOf,
  stepOf,
  visualPromptOf,
} from './__fixtures__/golden-models.ts';
import { WAYS_TO_RUN } from './__fixtures__/ways-to-run.ts';
import { tensorOf } from './host-tensors.ts';
import { layOutPrompts } from './prompt.ts';
import { t5ConfigFromJson } from './t5-config.ts';
import type { T5Params } from './t5-decoder.ts';
import { t5Loss } from './t5-loss.ts';
import type { T5LanguageModel } from './t5-model.ts';
import { positionBias, positionBucket, positionBuckets } from './t5-positions.ts';
import { t5DecoderInputs } from './t5-prompt.ts';
import { readT5Params } from './t5-weights.ts';

describe.each(WAYS_TO_RUN)('blip2-flan-t5, %s', (_, makeEngine) => {
  const golden = readGolden('models/blip2-flan-t5');
  const { json } = golden;
  let model: T5LanguageModel;
  let visualPrompt: Tensor3D;
  beforeAll(async () => {
    model = await loadT5Fixture('blip2-flan-t5', { engine: makeEngine() });
    visualPrompt = visualPromptOf(golden, 'prompts');
  });
  afterAll(() => {
    model.dispose();
    visualPrompt.dispose();
  });

  it('has the states of encoder and decoder', async () => {
    const inputs = batchOf(json.inputs.prompts);
    const decoderIds = rowsOf(golden.get('prompts.decoder_input_ids'));
    const result = await model.forward(visualPrompt, inputs, decoderIds, { hiddenStates: true });
    tf.tidy(() => {
      for (const layer of [0, 1, 2]) {
        const expected = golden.tensor<Rank.R3>(`prompts.encoder.hidden_states.${layer}`);
        expectWhereReal(result.encoderStates![layer]!, expected, inputs.mask);
      }
      expectWhereReal(result.encoded, golden.tensor<Rank.R3>('prompts.encoder.last_hidden_state'), inputs.mask);
      expect(result.logits).toBeAllclose(golden.get('prompts.logits'), TOLERANCE.activations);
    });
    disposeForward(result);
  });

  it('sees the visual prompt and </s> when there is no text', async () => {
    const session = model.startDecoding(visualPrompt, ['', '', '', '']);
    const logits = await session.start();
    const { shape, data } = golden.get('no_prompt.logits');
    expect(tf.reshape(logits, shape)).toBeAllclose(data, TOLERANCE.activations);
    logits.dispose();
    session.dispose();
  });

  it('gives the logits of each step', () =>
    expectNoLeak(async () => {
      const { new_tokens: tokens } = json.generation_cases.find(({ id }: { id: string }) => id === 'greedy_prompt');
      const expected = golden.get('greedy_prompt.step_logits');
      const session = model.startDecoding(visualPrompt, json.inputs.prompts.texts);
      for (let step = 0; step < expected.shape[1]!; step++) {
        const logits = await (step === 0 ? session.start() : session.step(tokens.map((row: number[]) => row[step - 1])));
        expect(logits).toBeAllclose(stepOf(expected, step).flat(), TOLERANCE.activations);
        logits.dispose();
      }
      session.dispose();
    }));
});

describe('training blip2-flan-t5', () => {
  const golden = readGolden('models/blip2-flan-t5');
  const { json } = golden;
  let model: T5LanguageModel;
  let visualPrompt: Tensor3D;
  beforeAll(async () => {
    model = await loadT5Fixture('blip2-flan-t5');
    visualPrompt = visualPromptOf(golden, 'prompts');
  });
  afterAll(() => {
    model.dispose();
    visualPrompt.dispose();
  });

  it('has the losses of training', () =>
    expectNoLeak(() =>
      tf.tidy(() => {
        const {
          input_ids: ids,
          attention_mask: mask,
          labels,
          decoder_attention_mask: decoderMask,
          texts,
          targets,
        } = json.training_batch;
        const expected = golden.get('train.loss');
        expect(expected.data[0]).toBeCloseTo(json.training_without_decoder_mask.loss, 5);
        expect([model.lossFromTokens(visualPrompt, { ids, mask, labels, decoderMask }).dataSync()[0]!]).toBeAllclose(
          expected.data,
          TOLERANCE.activations,
        );
        const unmasked = model.lossFromTokens(visualPrompt, { ids, mask, labels });
        expect(unmasked).toBeAllclose([json.training_without_decoder_mask.loss], TOLERANCE.activations);
        const fromTexts = model.loss(visualPrompt, { prompts: texts, targets });
        expect(fromTexts).toBeAllclose([json.training.loss], TOLERANCE.activations);
      }),
    ));

  it('has the gradients of the language projection', () =>
    expectNoLeak(async () => {
      const weight = await readFixtureWeight('blip2-flan-t5', 'language_projection.weight');
      const bias = await readFixtureWeight('blip2-flan-t5', 'language_projection.bias');
      tf.tidy(() => {
        const queries = golden.tensor<Rank.R3>('qformer.last_hidden_state');
        const { input_ids: ids, attention_mask: mask, labels } = json.training_batch;
        const loss = (w: Tensor, b: Tensor): Scalar =>
          model.lossFromTokens(linear({ weight: w as Tensor2D, bias: b as Tensor1D }, queries), { ids, mask, labels });
        const [byWeight, byBias] = tf.grads(loss)([weight, bias]);
        expectGradient(byWeight!, golden.get('grad.language_projection.weight'));
        expectGradient(byBias!, golden.get('grad.language_projection.bias'));
      });
      tf.dispose([weight, bias]);
    }));
});

describe.each(WAYS_TO_RUN)('%s', (_, makeEngine) => {
  describe.each(['flan-t5-style', 't5-v1.0-style'])('%s', (folder) => {
    const golden = readGolden(`models/${folder}`);
    const { json } = golden;
    const batch = batchOf(json);
    let model: T5LanguageModel;
    beforeAll(async () => {
      model = await loadT5Fixture(folder, { engine: makeEngine() });
    });
    afterAll(() => model.dispose());

    it('has the states of encoder and decoder', async () => {
      const decoderIds = rowsOf(golden.get('decoder_input_ids'));
      expect(t5DecoderInputs(json.labels, model.config)).toEqual(decoderIds);
      const result = await model.forward(undefined, batch, decoderIds, { hiddenStates: true });
      tf.tidy(() => {
        for (const stack of ['encoder', 'decoder'] as const) {
          const states = stack === 'encoder' ? result.encoderStates! : result.decoderStates!;
          const mask = stack === 'encoder' ? batch.mask : decoderIds.map((row) => row.map(() => 1));
          const names = golden.names.filter((name) => name.startsWith(`${stack}.hidden_states.`));
          expect(names.length).toBeGreaterThan(1);
          names.forEach((name, layer) => expectWhereReal(states[layer]!, golden.tensor<Rank.R3>(name), mask));
          const last = stack === 'encoder' ? result.encoded : result.decoded;
          expectWhereReal(last, golden.tensor<Rank.R3>(`${stack}.last_hidden_state`), mask);
        }
        expect(result.logits).toBeAllclose(golden.get('logits'), TOLERANCE.activations);
      });
      disposeForward(result);
    });
  });
});

describe.each(['flan-t5-style', 't5-v1.0-style'])('%s', (folder) => {
  const golden = readGolden(`models/${folder}`);
  let model: T5LanguageModel;
  beforeAll(async () => {
    model = await loadT5Fixture(folder);
  });
  afterAll(() => model.dispose());

  it.each(['encoder', 'decoder'] as const)('has the position bias of the %s', async (stack) => {
    const table = await readFixtureWeight(folder, `${stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`);
    const { relativePositionBuckets: buckets, relativePositionMaxDistance: maxDistance } = model.config;
    const options = { buckets, maxDistance, bidirectional: stack === 'encoder' };
    const bias = tf.tidy(() => positionBias(table as Tensor2D, tensorOf(positionBuckets(24, 24, options))));
    expect(bias).toBeAllclose(golden.get(`${stack}.position_bias_24`), 0);
    tf.dispose([table, bias]);
  });

  it('has the loss and its gradients with everything trainable', () => expectAllGradients(folder, golden));
});

async function expectAllGradients(folder: string, golden: Golden): Promise<void> {
  const checkpoint = await openCheckpointFolder(fixturePath('models', folder));
  const config = t5ConfigFromJson(await readCheckpointJson(checkpoint, 'config.json'));
  const described = await readT5Params(checkpoint.weights, config);
  const params = await materialize<T5Params>(described);
  const layout = layOutPrompts(batchOf(golden.json), { queries: 0, imageTokenId: undefined, padTokenId: 0 });
  const names = golden.names.filter((name) => name.startsWith('grad.')).map((name) => name.slice('grad.'.length));
  const weights = leavesOf(described) as Weight[];
  const tensors = leavesOf(params) as Tensor[];
  const wanted = names.map((name) => tensors[weights.findIndex((weight) => weight.name === name)]!);
  tf.tidy(() => {
    const compute = (): Scalar => t5Loss(params, config, layout, undefined, { labels: golden.json.labels });
    expect(compute()).toBeAllclose([golden.json.loss], TOLERANCE.activations);
    const gradients = tf.grads(compute)(wanted);
    names.forEach((name, index) => expectGradient(gradients[index]!, golden.get(`grad.${name}`)));
  });
  tf.dispose(tensors);
  checkpoint.dispose();
}

describe('blip2-flan-t5-bfloat16-sharded', () => {
  const golden = readGolden('models/blip2-flan-t5-bfloat16-sharded');
  const main = readGolden('models/blip2-flan-t5');

  it('has the reference loss and logits', async () => {
    const model = await loadT5Fixture('blip2-flan-t5-bfloat16-sharded');
    const { input_ids: ids, attention_mask: mask, labels } = main.json.training_batch;
    const visualPrompt = golden.tensor<Rank.R3>('language_projection');
    const result = await model.forward(visualPrompt, { ids, mask }, t5DecoderInputs(labels, model.config));
    tf.tidy(() => {
      expect(model.lossFromTokens(visualPrompt, { ids, mask, labels })).toBeAllclose([golden.json.loss], TOLERANCE.activations);
      expect(tf.slice(result.logits, 0, 1)).toBeAllclose(golden.get('train.logits_first_row'), TOLERANCE.activations);
    });
    disposeForward(result);
    visualPrompt.dispose();
    model.dispose();
  });
});

describe('position buckets', () => {
  const golden = readGolden('models/ops');
  it.each([
    [32, 128],
    [16, 24],
    [20, 40],
    [8, 20],
  ])('%i buckets up to distance %i', (buckets, maxDistance) => {
    const positions = golden.get('t5_buckets.relative_position').data;
    for (const stack of ['encoder', 'decoder']) {
      const options = { buckets, maxDistance, bidirectional: stack === 'encoder' };
      const actual = Array.from(positions, (position) => positionBucket(position, options));
      expect(actual).toEqual([...golden.get(`t5_buckets.${buckets}_${maxDistance}_${stack}`).data]);
    }
  });
});

function disposeForward(result: Awaited<ReturnType<T5LanguageModel['forward']>>): void {
  tf.dispose([result.logits, result.encoded, result.decoded, ...(result.encoderStates ?? []), ...(result.decoderStates ?? [])]);
}
