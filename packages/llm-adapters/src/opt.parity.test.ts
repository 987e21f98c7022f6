import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { leavesOf, linear, materialize, readCheckpointJson, type Weight } from '@blip2/core';
import { applyRepetitionPenalty, forbidRepeatedNgrams, forbidTokens, logSoftmax } from '@blip2/generation';
import { expectNoLeak, fixturePath, type Golden, readGolden, TOLERANCE } from '@blip2/testing';
import '@blip2/testing/gradients';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, Scalar, Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  batchOf,
  expectGradient,
  expectWhereReal,
  loadOptFixture,
  readFixtureWeight,
  stepOf,
  visualPromptOf,
} from './__fixtures__/golden-models.ts';
import { WAYS_TO_RUN } from './__fixtures__/ways-to-run.ts';
import { optConfigFromJson } from './opt-config.ts';
import type { OptParams } from './opt-decoder.ts';
import { optLoss } from './opt-loss.ts';
import type { OptLanguageModel } from './opt-model.ts';
import { readOptParams } from './opt-weights.ts';
import { layOutPrompts } from './prompt.ts';

describe.each(WAYS_TO_RUN)('blip2-opt, %s', (_, makeEngine) => {
  const golden = readGolden('models/blip2-opt');
  const { json } = golden;
  let model: OptLanguageModel;
  let visualPrompt: Tensor3D;
  beforeAll(async () => {
    model = await loadOptFixture('blip2-opt', { engine: makeEngine() });
    visualPrompt = visualPromptOf(golden, 'prompts');
  });
  afterAll(() => {
    model.dispose();
    visualPrompt.dispose();
  });

  it('has the states of every layer', async () => {
    const inputs = batchOf(json.inputs.prompts);
    const { logits, features, hiddenStates } = await model.forward(visualPrompt, inputs, { hiddenStates: true });
    expect(hiddenStates).toHaveLength(4);
    tf.tidy(() => {
      for (const layer of [0, 1, 2]) {
        expectWhereReal(hiddenStates![layer]!, golden.tensor<Rank.R3>(`prompts.lm.hidden_states.${layer}`), inputs.mask);
      }
      expectWhereReal(features, golden.tensor<Rank.R3>('prompts.lm.last_hidden_state'), inputs.mask);
      expectWhereReal(logits, golden.tensor<Rank.R3>('prompts.logits'), inputs.mask);
    });
    tf.dispose([logits, features, ...hiddenStates!]);
  });

  it('begins with </s> after the visual prompt when there is no text', async () => {
    const { logits, features } = await model.forward(visualPrompt, { ids: [[2], [2], [2], [2]], mask: [[1], [1], [1], [1]] });
    expect(logits).toBeAllclose(golden.get('no_prompt.logits'), TOLERANCE.activations);
    tf.dispose([logits, features]);
    const session = model.startDecoding(visualPrompt, ['', '', '', '']);
    expect(session.promptIds).toEqual(json.inputs.no_prompt.effective_ids);
    session.dispose();
  });

  it('tells the rules of the prompt what the reference tells them', () => {
    const session = model.startDecoding(visualPrompt, json.inputs.prompts.texts);
    expect(session.promptIds).toEqual(json.inputs.prompts.input_ids);
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

  it('gives the processed scores of the first beam steps, beams reordered', async () => {
    await expectBeamScores(golden, model, visualPrompt);
  });
});

describe('training blip2-opt', () => {
  const golden = readGolden('models/blip2-opt');
  const { json } = golden;
  let model: OptLanguageModel;
  let visualPrompt: Tensor3D;
  beforeAll(async () => {
    model = await loadOptFixture('blip2-opt');
    visualPrompt = visualPromptOf(golden, 'prompts');
  });
  afterAll(() => {
    model.dispose();
    visualPrompt.dispose();
  });

  it('has the losses of training', () =>
    expectNoLeak(() => {
      const { input_ids: ids, attention_mask: mask, labels } = json.training_batch;
      const lossOf = (batch: Parameters<OptLanguageModel['lossFromTokens']>[1]): number =>
        tf.tidy(() => model.lossFromTokens(visualPrompt, batch).dataSync()[0]!);
      expect([lossOf({ ids, mask, labels })]).toBeAllclose([json.training.loss], TOLERANCE.activations);
      expect([lossOf({ ids, mask, labels: json.training_prompt_masked.labels })]).toBeAllclose(
        [json.training_prompt_masked.loss],
        TOLERANCE.activations,
      );
      const left = json.training_left_padded;
      expect([lossOf({ ids: left.input_ids, mask: left.attention_mask, labels: left.labels })]).toBeAllclose(
        [left.loss],
        TOLERANCE.activations,
      );
      // The same batch without placeholders and without labels for the queries.
      const text = (rows: number[][]): number[][] => rows.map((row) => row.slice(6));
      expect([lossOf({ ids: text(ids), mask: text(mask), labels: text(labels) })]).toBeAllclose(
        [json.training.loss],
        TOLERANCE.activations,
      );
    }));

  it('has the same loss from texts: the newline that ends them is added', () => {
    const targets = (json.training_batch.texts as string[]).map((text) => text.trimEnd());
    const loss = model.loss(visualPrompt, { prompts: targets.map(() => ''), targets });
    expect(loss).toBeAllclose([json.training.loss], TOLERANCE.activations);
    loss.dispose();
  });

  it('has the gradients of the language projection', () =>
    expectNoLeak(async () => {
      const weight = await readFixtureWeight('blip2-opt', 'language_projection.weight');
      const bias = await readFixtureWeight('blip2-opt', 'language_projection.bias');
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

async function expectBeamScores(golden: Golden, model: OptLanguageModel, visualPrompt: Tensor3D): Promise<void> {
  const session = model.startDecoding(visualPrompt, golden.json.inputs.prompts.texts);
  const { promptIds } = session;
  const beams = 5;
  const expectedScores = golden.get('beam5_repetition_ngram3.step_scores');
  const [rows, , vocab] = expectedScores.shape as [number, number, number];
  const scoresOf = (logits: Float32Array, row: number, history: number[]): Float64Array => {
    let scores = logSoftmax(Float64Array.from(logits.subarray(row * vocab, (row + 1) * vocab)));
    scores = applyRepetitionPenalty(scores, history, 1.5);
    scores = forbidRepeatedNgrams(scores, history, 3);
    return forbidTokens(scores, model.config.endTokenIds); // min_new_tokens is 3
  };
  const first = await session.start();
  const firstScores = promptIds.map((ids, image) => scoresOf(first.dataSync() as Float32Array, image, [...ids]));
  first.dispose();
  for (let row = 0; row < rows; row++) {
    expect(firstScores[Math.floor(row / beams)]!).toBeAllclose(stepOf(expectedScores, 0)[row]!, TOLERANCE.activations);
  }
  const tokens = firstScores.flatMap((scores) => {
    const ranked = Array.from(scores, (score, id) => ({ score, id })).toSorted((a, b) => b.score - a.score);
    return ranked.slice(0, beams).map(({ id }) => id);
  });
  session.reorder(tokens.map((_, row) => Math.floor(row / beams)));
  const second = await session.step(tokens);
  for (let row = 0; row < rows; row++) {
    const history = [...promptIds[Math.floor(row / beams)]!, tokens[row]!];
    expect(scoresOf(second.dataSync() as Float32Array, row, history)).toBeAllclose(
      stepOf(expectedScores, 1)[row]!,
      TOLERANCE.activations,
    );
  }
  second.dispose();
  session.dispose();
}

describe.each(WAYS_TO_RUN)('%s', (_, makeEngine) => {
  describe.each(['opt-125m-style', 'opt-350m-style'])('%s', (folder) => {
    const golden = readGolden(`models/${folder}`);
    const { json } = golden;
    let model: OptLanguageModel;
    beforeAll(async () => {
      model = await loadOptFixture(folder, { engine: makeEngine() });
    });
    afterAll(() => model.dispose());

    it('has the states of every layer, padded on the left', async () => {
      const batch = batchOf(json.left_padded);
      const { logits, features, hiddenStates } = await model.forward(undefined, batch, { hiddenStates: true });
      tf.tidy(() => {
        hiddenStates!.forEach((state, layer) => {
          if (!golden.names.includes(`left.hidden_states.${layer}`)) return;
          expectWhereReal(state, golden.tensor<Rank.R3>(`left.hidden_states.${layer}`), batch.mask);
        });
        expectWhereReal(features, golden.tensor<Rank.R3>('left.last_hidden_state'), batch.mask);
        expectWhereReal(logits, golden.tensor<Rank.R3>('left.logits'), batch.mask);
      });
      tf.dispose([logits, features, ...hiddenStates!]);
    });

    it('has the last logits of a batch padded on the right', async () => {
      const batch = batchOf(json.right_padded);
      const { logits, features } = await model.forward(undefined, batch);
      tf.tidy(() => {
        const last = batch.mask.map((row, index) => tf.slice(logits, [index, row.lastIndexOf(1), 0], [1, 1, -1]));
        expect(tf.reshape(tf.concat(last), [last.length, -1])).toBeAllclose(
          golden.get('right.last_logits'),
          TOLERANCE.activations,
        );
      });
      tf.dispose([logits, features]);
    });
  });
});

describe.each(['opt-125m-style', 'opt-350m-style'])('%s', (folder) => {
  const golden = readGolden(`models/${folder}`);

  it('has the loss and its gradients with everything trainable', () => expectAllGradients(folder, golden));
});

async function expectAllGradients(folder: string, golden: Golden): Promise<void> {
  const checkpoint = await openCheckpointFolder(fixturePath('models', folder));
  const config = optConfigFromJson(await readCheckpointJson(checkpoint, 'config.json'));
  const described = await readOptParams(checkpoint.weights, config);
  const params = await materialize<OptParams>(described);
  const layout = layOutPrompts(batchOf(golden.json.right_padded), { queries: 0, imageTokenId: undefined, padTokenId: 1 });
  // The true gradient of a key's bias is zero: a number added to all scores of a query changes nothing.
  const names = golden.names.flatMap((name) =>
    name.startsWith('grad.') && !name.endsWith('k_proj.bias') ? [name.slice('grad.'.length)] : [],
  );
  const weights = leavesOf(described) as Weight[];
  const tensors = leavesOf(params) as Tensor[];
  const wanted = names.map((name) => tensors[weights.findIndex((weight) => weight.name === name)]!);
  tf.tidy(() => {
    const compute = (): Scalar => optLoss(params, config, layout, undefined, golden.json.loss_right_padded.labels);
    expect(compute()).toBeAllclose([golden.json.loss_right_padded.loss], TOLERANCE.activations);
    const gradients = tf.grads(compute)(wanted);
    names.forEach((name, index) => expectGradient(gradients[index]!, golden.get(`grad.${name}`)));
  });
  tf.dispose(tensors);
  checkpoint.dispose();
}

describe('blip2-opt-float16', () => {
  const golden = readGolden('models/blip2-opt-float16');
  const main = readGolden('models/blip2-opt');

  it('has the reference loss and logits, and keeps the stored copy of its head once', async () => {
    const model = await loadOptFixture('blip2-opt-float16');
    const { input_ids: ids, attention_mask: mask, labels } = main.json.training_batch;
    const visualPrompt = golden.tensor<Rank.R3>('language_projection');
    const { logits, features } = await model.forward(visualPrompt, { ids, mask });
    tf.tidy(() => {
      expect(model.lossFromTokens(visualPrompt, { ids, mask, labels })).toBeAllclose([golden.json.loss], TOLERANCE.activations);
      expectWhereReal(logits, golden.tensor<Rank.R3>('train.logits_first_row'), mask);
    });
    const mainModel = await loadOptFixture('blip2-opt');
    expect(model.parameterCount).toBe(mainModel.parameterCount);
    tf.dispose([logits, features, visualPrompt]);
    model.dispose();
    mainModel.dispose();
  });
});
