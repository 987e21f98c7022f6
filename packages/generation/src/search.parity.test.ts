import { readFileSync } from 'node:fs';
import { TOLERANCE } from '@blip2/testing';
import { describe, expect, it } from 'vitest';
import type { GenerateOptions } from '@blip2/core';
import { generate } from './index.ts';
import { TableSession, type TableModel } from './__fixtures__/table-session.ts';

interface SearchCase {
  readonly model: number;
  readonly prompts: number[][];
  readonly settings: {
    readonly num_beams: number;
    readonly max_new_tokens: number;
    readonly min_new_tokens: number | null;
    readonly eos_token_id: number[] | null;
    readonly repetition_penalty: number;
    readonly no_repeat_ngram_size: number;
    readonly length_penalty?: number;
    readonly early_stopping?: boolean | 'never';
    readonly num_return_sequences?: number;
  };
  readonly new_tokens: number[][];
  readonly scores?: number[];
}

const fixture = JSON.parse(readFileSync(new URL('__fixtures__/search-cases.json', import.meta.url), 'utf8')) as {
  readonly models: { last: number[][]; before_last: number[][] }[];
  readonly cases: SearchCase[];
};
const models = fixture.models.map(({ last, before_last }): TableModel => ({ last, beforeLast: before_last }));

function optionsOf({ settings }: SearchCase): GenerateOptions {
  return {
    beams: settings.num_beams,
    maxNewTokens: settings.max_new_tokens,
    minNewTokens: settings.min_new_tokens ?? 0,
    endTokenIds: settings.eos_token_id ?? [],
    repetitionPenalty: settings.repetition_penalty,
    noRepeatNgramSize: settings.no_repeat_ngram_size,
    lengthPenalty: settings.length_penalty,
    earlyStopping: settings.early_stopping,
    returnSequences: settings.num_return_sequences,
  };
}

describe('generate against Hugging Face transformers', () => {
  const groups = Map.groupBy(fixture.cases, ({ settings }) => {
    return settings.num_beams === 1
      ? 'greedy'
      : `early stopping ${settings.early_stopping}, length penalty ${settings.length_penalty}`;
  });
  for (const [name, cases] of groups) {
    it(`${name}: ${cases.length} cases`, async () => {
      for (const testCase of cases) {
        const session = new TableSession(models[testCase.model]!, testCase.prompts);
        const texts = (await generate(session, optionsOf(testCase))).flat();
        session.dispose();
        const what = JSON.stringify(testCase);
        expect(
          texts.map((text) => text.newTokenIds),
          what,
        ).toEqual(testCase.new_tokens);
        if (testCase.scores === undefined) continue;
        const scores = texts.map((text) => text.score!);
        expect(scores, what).toBeAllclose(testCase.scores, TOLERANCE.scores);
      }
    });
  }
});
