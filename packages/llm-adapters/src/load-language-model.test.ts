import { openCheckpointFolder } from '@blip2/checkpoints/node';
import type { Checkpoint } from '@blip2/core';
import { expectNoLeak, fixturePath } from '@blip2/testing';
import { expect, it } from 'vitest';
import { byteTokenizer } from './__fixtures__/toy-models.ts';
import { loadLanguageModel } from './load-language-model.ts';

const withConfig = (checkpoint: Checkpoint, config: unknown): Checkpoint => ({
  ...checkpoint,
  name: 'toy',
  readFile: async (name, options) =>
    name === 'config.json' ? new TextEncoder().encode(JSON.stringify(config)) : checkpoint.readFile(name, options),
});

it('says what it cannot load, and keeps nothing', () =>
  expectNoLeak(async () => {
    const matching = await openCheckpointFolder(fixturePath('models/blip2-itm'), { name: 'blip2-itm' });
    await expect(loadLanguageModel(matching)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: loadLanguageModel: blip2-itm has no language model; its weights are for matching and search. Load a checkpoint that writes, such as Salesforce/blip2-opt-2.7b.]`,
    );
    const opt = await openCheckpointFolder(fixturePath('models/opt-125m-style'));
    await expect(loadLanguageModel(withConfig(opt, { model_type: 'llama' }))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: loadLanguageModel: toy/config.json describes a language model of type "llama", expected "opt" or "t5". Use a checkpoint with one of these, or implement LanguageModel of @blip2/core for yours.]`,
    );
    await expect(loadLanguageModel(withConfig(opt, [1]))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: loadLanguageModel: toy/config.json describes a language model of type undefined, expected "opt" or "t5". Use a checkpoint with one of these, or implement LanguageModel of @blip2/core for yours.]`,
    );
    await expect(loadLanguageModel(withConfig(opt, 7))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[CheckpointError: toy/config.json holds 7, expected an object. Download the file again.]`,
    );
    await expect(loadLanguageModel(withConfig(opt, { model_type: 't5' }))).rejects.toThrow(
      /T5 language model's weights do not fit/,
    );
    opt.dispose();
    matching.dispose();
  }));

it('takes a tokenizer in place of the own one', async () => {
  const checkpoint = await openCheckpointFolder(fixturePath('models/opt-125m-style'));
  const model = await loadLanguageModel(checkpoint, { tokenizer: byteTokenizer });
  expect(model.tokenizer).toBe(byteTokenizer);
  model.dispose();
  checkpoint.dispose();
});
