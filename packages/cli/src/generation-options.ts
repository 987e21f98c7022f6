import type { GenerateOptions } from '@blip2/core';
import type { ChoiceOption, Defaulted, IntegerOption, NumberOption, Values } from './command-line.ts';
import { defined } from './defined.ts';

/** Decoding options of `caption` and `answer`; where none is given, the verb's own default applies. */
export type GenerationOptionTable = {
  readonly [Name in 'beams' | 'maxNewTokens' | 'minNewTokens' | 'topK' | 'seed']: IntegerOption;
} & {
  readonly [Name in 'lengthPenalty' | 'temperature' | 'topP']: NumberOption;
} & {
  readonly [Name in 'noRepeatNgramSize' | 'returnSequences']: Defaulted<IntegerOption>;
} & {
  readonly [Name in 'earlyStopping' | 'historyScope']: Defaulted<ChoiceOption>;
} & { readonly repetitionPenalty: Defaulted<NumberOption> };

export const GENERATION_OPTIONS: GenerationOptionTable = {
  beams: { type: 'integer', hint: 'N', min: 1, description: 'beams of beam search; 1 is greedy' },
  lengthPenalty: { type: 'number', hint: 'X', description: 'above 0 favours long texts, below 0 short ones' },
  maxNewTokens: { type: 'integer', hint: 'N', min: 1, description: 'tokens to write at most' },
  minNewTokens: { type: 'integer', hint: 'N', min: 0, description: 'tokens to write before the end token may come' },
  earlyStopping: { type: 'choice', choices: ['false', 'true', 'never'], description: 'when beam search stops', default: 'false' },
  repetitionPenalty: { type: 'number', hint: 'X', description: 'above 1 discourages tokens that occurred', default: 1 },
  noRepeatNgramSize: { type: 'integer', hint: 'N', min: 0, description: 'no n-gram of this size twice; 0 is off', default: 0 },
  historyScope: {
    type: 'choice',
    choices: ['prompt', 'new-tokens'],
    description: 'what the repetition rules count as said before',
    default: 'prompt',
  },
  returnSequences: { type: 'integer', hint: 'N', min: 1, description: 'texts an image', default: 1 },
  temperature: { type: 'number', hint: 'X', description: 'sample, with this temperature' },
  topK: { type: 'integer', hint: 'N', min: 0, description: 'sample from the N most likely tokens' },
  topP: { type: 'number', hint: 'X', description: 'sample from the smallest set of tokens with this probability' },
  seed: { type: 'integer', hint: 'N', min: 0, description: 'sample with this seed' },
};

/** The decoding settings that the command line asks for; absent ones are left to the verb. */
export function generateOptions(values: Values<GenerationOptionTable>): GenerateOptions {
  const { temperature, topK, topP, seed } = values;
  const sampled = [temperature, topK, topP, seed].some((value) => value !== undefined);
  const given = {
    beams: values.beams,
    lengthPenalty: values.lengthPenalty,
    maxNewTokens: values.maxNewTokens,
    minNewTokens: values.minNewTokens,
    earlyStopping: values.earlyStopping === 'never' ? 'never' : values.earlyStopping === 'true',
    repetitionPenalty: values.repetitionPenalty,
    noRepeatNgramSize: values.noRepeatNgramSize,
    historyScope: values.historyScope === 'new-tokens' ? 'new-tokens' : 'prompt',
    returnSequences: values.returnSequences,
    sampling: sampled ? defined({ temperature, topK, topP, seed }) : undefined,
  } satisfies GenerateOptions;
  return defined(given);
}
