import { describeOnlyReader, WeightBudget } from '@blip2/core';
import { expect, it } from 'vitest';
import { byteTokenizer } from './__fixtures__/toy-models.ts';
import { optConfig } from './opt-config.ts';
import { OptLanguageModel } from './opt-model.ts';
import { describeOptParams } from './opt-weights.ts';
import { flanT5Config } from './t5-config.ts';
import { T5LanguageModel } from './t5-model.ts';
import { describeT5Params } from './t5-weights.ts';

const gibibyte = 1024 ** 3;

it.each(['opt-1.3b', 'opt-2.7b', 'opt-6.7b', 'flan-t5-xl', 'flan-t5-xxl'] as const)(
  '%s streams within a heap of 4 GiB',
  (name) => {
    const budget = new WeightBudget(2.5 * gibibyte);
    const reader = describeOnlyReader(name);
    let model: OptLanguageModel | T5LanguageModel;
    let layerBytes: number;
    if (name.startsWith('opt')) {
      const config = optConfig(name.slice(4) as '2.7b');
      layerBytes = 4 * (12 * config.width ** 2 + 13 * config.width);
      model = new OptLanguageModel(describeOptParams(reader, config), config, byteTokenizer, { budget });
    } else {
      const config = flanT5Config(name.slice(8) as 'xl');
      const inner = config.heads * config.headWidth;
      layerBytes = 4 * (8 * config.width * inner + 3 * config.width * config.feedForwardWidth + 3 * config.width);
      model = new T5LanguageModel(describeT5Params(reader, config), config, byteTokenizer, { budget });
    }
    const residentBytes = 4 * model.parameterCount - model.streamedBytes;
    expect(model.streamedBytes).toBeGreaterThan(0);
    expect(residentBytes).toBeGreaterThan(1e9);
    expect(residentBytes + 2 * layerBytes).toBeLessThan(3.5 * gibibyte);
    model.dispose();
    expect(budget.reservedBytes).toBe(0);
  },
);
