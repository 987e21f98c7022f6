import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { type Checkpoint, readCheckpointJson } from '@blip2/core';
import { expectNoLeak, fixturePath, readGolden, TOLERANCE } from '@blip2/testing';
import type { Tensor3D } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { batchOf, type GenerationCase, loadFixture, optionsOf, untilEnd, visualPromptOf } from './__fixtures__/golden-models.ts';
import { WAYS_TO_RUN } from './__fixtures__/ways-to-run.ts';
import { loadLanguageModel } from './load-language-model.ts';
import type { OptLanguageModel } from './opt-model.ts';
import type { T5LanguageModel } from './t5-model.ts';

type Model = OptLanguageModel | T5LanguageModel;

async function expectCase(
  model: Model,
  visualPrompt: Tensor3D | undefined,
  prompts: Parameters<Model['generate']>[1],
  golden: GenerationCase,
): Promise<void> {
  const options = optionsOf(golden);
  const generations = (await model.generate(visualPrompt, prompts, options)).flat();
  const endTokenIds = options.endTokenIds ?? model.config.endTokenIds;
  expect(generations.map(({ tokenIds }) => [...tokenIds])).toEqual(golden.new_tokens.map((row) => untilEnd(row, endTokenIds)));
  if (golden.sequences_scores) {
    expect(generations.map(({ score }) => score!)).toBeAllclose(golden.sequences_scores, TOLERANCE.scores);
  }
  // With end tokens that are words, the reference's texts contain them and ours do not.
  if (options.endTokenIds === undefined) {
    expect(generations.map(({ text }) => text)).toEqual(golden.texts.map((text) => text.trim()));
  }
}

describe.each(WAYS_TO_RUN)('%s', (_, makeEngine) => {
  describe.each(['blip2-opt', 'blip2-flan-t5'])('%s', (folder) => {
    const golden = readGolden(`models/${folder}`);
    let model: Model;
    beforeAll(async () => {
      model = await loadFixture(folder, { engine: makeEngine() });
    });
    afterAll(() => model.dispose());

    it.each(golden.json.generation_cases as GenerationCase[])('$id', (testCase) =>
      expectNoLeak(async () => {
        const inputs = testCase.inputs === 'embeds_only' ? 'prompts' : testCase.inputs!;
        const visualPrompt = visualPromptOf(golden, inputs);
        const { texts } = golden.json.inputs[inputs];
        await expectCase(model, visualPrompt, texts ?? ['', '', '', ''], testCase);
        visualPrompt.dispose();
      }),
    );

    it('gives the same for ids from a processor, image placeholders included', async () => {
      const visualPrompt = visualPromptOf(golden, 'prompts');
      for (const id of ['greedy_repetition', 'beam5_repetition_ngram3']) {
        const testCase = golden.json.generation_cases.find((other: GenerationCase) => other.id === id);
        await expectCase(model, visualPrompt, batchOf(golden.json.inputs.prompts), testCase);
      }
      visualPrompt.dispose();
    });

    it.each(['interp_70x70', 'interp_56x84'])('writes of images of other sizes: %s', async (name) => {
      const visualPrompt = golden.tensor(`${name}.language_projection`) as Tensor3D;
      const prompts = Array.from({ length: visualPrompt.shape[0] }, () => '');
      const generations = await model.generate(visualPrompt, prompts, { maxNewTokens: 12 });
      const promptLength = folder === 'blip2-opt' ? 7 : 1;
      const expected = (golden.json.interpolation[name].greedy_sequences as number[][]).map((row) => row.slice(promptLength));
      expect(generations.map(([best]) => [...best!.tokenIds])).toEqual(
        expected.map((row) => untilEnd(row, model.config.endTokenIds)),
      );
      visualPrompt.dispose();
    });
  });

  describe.each(['blip2-opt', 'blip2-flan-t5'])('%s, as it was before image tokens', (folder) => {
    it('puts the queries in front of ids that have no place for them', async () => {
      const golden = readGolden(`models/${folder}`);
      const checkpoint = await openCheckpointFolder(fixturePath('models', folder));
      const config = { ...((await readCheckpointJson(checkpoint, 'config.json')) as object), image_token_index: null };
      const readFile: Checkpoint['readFile'] = (name, options) =>
        name === 'config.json'
          ? Promise.resolve(new TextEncoder().encode(JSON.stringify(config)))
          : checkpoint.readFile(name, options);
      const model = await loadLanguageModel({ ...checkpoint, readFile }, { engine: makeEngine() });
      const visualPrompt = visualPromptOf(golden, 'prompts');
      for (const id of ['greedy_prompt', 'beam5_prompt_lp1']) {
        const testCase = golden.json.generation_cases.find((other: GenerationCase) => other.id === id);
        await expectCase(model, visualPrompt, golden.json.inputs.prompts.texts, testCase);
      }
      const session = model.startDecoding(visualPrompt, golden.json.inputs.prompts.texts);
      const text = (golden.json.inputs.prompts.input_ids as number[][]).map((row) => row.slice(6));
      expect(session.promptIds).toEqual(folder === 'blip2-opt' ? text : [[0], [0], [0], [0]]);
      session.dispose();
      visualPrompt.dispose();
      model.dispose();
      checkpoint.dispose();
    });
  });

  describe.each(['opt-125m-style', 'opt-350m-style', 'flan-t5-style', 't5-v1.0-style'])('%s, text alone', (folder) => {
    const golden = readGolden(`models/${folder}`);
    let model: Model;
    beforeAll(async () => {
      model = await loadFixture(folder, { engine: makeEngine() });
    });
    afterAll(() => model.dispose());

    it.each(golden.json.generation_cases as GenerationCase[])('$id', (testCase) =>
      expectNoLeak(() => expectCase(model, undefined, golden.json.texts, testCase)),
    );
  });

  describe.each([
    { folder: 'blip2-opt-float16', main: 'blip2-opt', promptLength: 29 },
    { folder: 'blip2-flan-t5-bfloat16-sharded', main: 'blip2-flan-t5', promptLength: 1 },
  ])('$folder', ({ folder, main, promptLength }) => {
    it('writes what the reference writes', async () => {
      const model = await loadFixture(folder, { engine: makeEngine() });
      const { json, tensor } = readGolden(`models/${folder}`);
      const visualPrompt = tensor('language_projection') as Tensor3D;
      const { texts } = readGolden(`models/${main}`).json.inputs.prompts;
      const generations = await model.generate(visualPrompt, texts, { maxNewTokens: 12 });
      expect(generations.map(([best]) => [...best!.tokenIds])).toEqual(
        (json.greedy_prompt_sequences as number[][]).map((row) => untilEnd(row.slice(promptLength), model.config.endTokenIds)),
      );
      visualPrompt.dispose();
      model.dispose();
    });
  });
});
