import { readGolden } from '@blip2/testing';
import { describe, expect, it } from 'vitest';
import {
  applyRepetitionPenalty,
  applyTemperature,
  forbidRepeatedNgrams,
  forbidTokens,
  keepTopK,
  keepTopP,
  logSoftmax,
} from './index.ts';

const golden = readGolden('models/ops');

function rowsOf(name: string): Float32Array[] {
  const { shape, data } = golden.get(`processors.${name}`);
  return Array.from({ length: shape[0]! }, (_, row) => Float32Array.from(data.subarray(row * shape[1]!, (row + 1) * shape[1]!)));
}

const histories = rowsOf('ids').map((row) => [...row]);

type Processor = (scores: Float32Array, history: readonly number[]) => Float32Array | Float64Array;

const processors: Readonly<Record<string, Processor>> = {
  'temperature_0.7': (scores) => applyTemperature(scores, 0.7),
  top_k_5: (scores) => keepTopK(scores, 5),
  'top_p_0.9': (scores) => keepTopP(scores, 0.9),
  'top_p_0.3': (scores) => keepTopP(scores, 0.3),
  'top_p_0.01': (scores) => keepTopP(scores, 0.01),
  'temperature_1.5_top_k_12_top_p_0.8': (scores) => keepTopP(keepTopK(applyTemperature(scores, 1.5), 12), 0.8),
  'repetition_1.5': (scores, history) => applyRepetitionPenalty(scores, history, 1.5),
  'repetition_0.8': (scores, history) => applyRepetitionPenalty(scores, history, 0.8),
  'repetition_1.5_on_log_softmax': (scores, history) => applyRepetitionPenalty(logSoftmax(scores), history, 1.5),
  ngram_1: (scores, history) => forbidRepeatedNgrams(scores, history, 1),
  ngram_2: (scores, history) => forbidRepeatedNgrams(scores, history, 2),
  ngram_3: (scores, history) => forbidRepeatedNgrams(scores, history, 3),
  ngram_9_longer_than_ids: (scores, history) => forbidRepeatedNgrams(scores, history, 9),
  // Eight ids are there: nine are too few, eight are enough; of the six that are a prompt, two are new.
  min_length_9_eos_2: (scores) => forbidTokens(scores, [2]),
  min_length_8_eos_2: (scores) => forbidTokens(scores, []),
  min_new_3_prompt_6_eos_2_and_7: (scores) => forbidTokens(scores, [2, 7]),
  min_new_2_prompt_6_eos_2_and_7: (scores) => forbidTokens(scores, []),
  // The fixture does not say with which values; these fit.
  all_repetition_ngram_minlength_temperature_topk_topp: (scores, history) => {
    const ruled = forbidTokens(forbidRepeatedNgrams(applyRepetitionPenalty(scores, history, 1.5), history, 2), [2]);
    return keepTopP(keepTopK(applyTemperature(ruled, 0.7), 10), 0.9);
  },
};

describe('logits processors against Hugging Face transformers', () => {
  it('covers every golden tensor', () => {
    const names = golden.names.filter((name) => name.startsWith('processors.')).map((name) => name.slice('processors.'.length));
    expect(new Set(Object.keys(processors))).toEqual(new Set(names.filter((name) => name !== 'ids' && name !== 'logits')));
  });

  for (const [name, process] of Object.entries(processors)) {
    it(name, () => {
      const expected = rowsOf(name);
      for (const [row, logits] of rowsOf('logits').entries()) {
        const before = logits.slice();
        expect(process(logits, histories[row]!)).toBeAllclose(expected[row]!, 1e-6); // −Infinity must be −Infinity
        expect(logits).toEqual(before);
      }
    });
  }
});
