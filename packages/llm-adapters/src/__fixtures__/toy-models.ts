import type { Tokenizer } from '@blip2/core';
import { randomOptWeights, randomT5Weights } from '../random-weights.ts';
import { optConfig, type OptConfig } from '../opt-config.ts';
import { createOpt, type OptLanguageModel } from '../opt-model.ts';
import type { LanguageModelOptions } from '../language-model.ts';
import { flanT5Config, type T5Config } from '../t5-config.ts';
import { createT5, type T5LanguageModel } from '../t5-model.ts';

/** Bytes as tokens, after three special ones: pad 0, begin 1, end 2. */
export const byteTokenizer: Tokenizer = {
  vocabSize: 259,
  padTokenId: 0,
  encode: (text, { addSpecialTokens = true } = {}) => [
    ...(addSpecialTokens ? [1] : []),
    ...Array.from(new TextEncoder().encode(text), (byte) => byte + 3),
  ],
  decode: (ids) =>
    new TextDecoder().decode(
      Uint8Array.from(
        ids.filter((id) => id >= 3 && id < 259),
        (id) => id - 3,
      ),
    ),
  tokenId: () => undefined,
};

export const toyOptConfig: OptConfig = optConfig('125m', {
  vocabSize: 264,
  width: 24,
  embeddingWidth: 24,
  layers: 3,
  heads: 3,
  feedForwardWidth: 40,
  maxPositions: 48,
  padTokenId: 0,
  beginTokenId: 1,
  endTokenIds: [2],
});

export const toyT5Config: T5Config = flanT5Config('small', {
  vocabSize: 264,
  width: 24,
  encoderLayers: 2,
  decoderLayers: 3,
  heads: 3,
  headWidth: 6,
  feedForwardWidth: 40,
  endTokenIds: [2],
});

/** Weights this large give scores that differ clearly from one another. */
const STANDARD_DEVIATION = 0.3;

export function toyOpt(config: Partial<OptConfig> = {}, options: LanguageModelOptions = {}): Promise<OptLanguageModel> {
  const full = { ...toyOptConfig, ...config };
  return createOpt(randomOptWeights(full, { standardDeviation: STANDARD_DEVIATION }), full, byteTokenizer, options);
}

export function toyT5(config: Partial<T5Config> = {}, options: LanguageModelOptions = {}): Promise<T5LanguageModel> {
  const full = { ...toyT5Config, ...config };
  return createT5(randomT5Weights(full, { standardDeviation: STANDARD_DEVIATION }), full, byteTokenizer, options);
}
