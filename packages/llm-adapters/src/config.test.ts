import { countParameters, describeOnlyReader } from '@blip2/core';
import { fixturePath } from '@blip2/testing';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { describeLanguageModel } from './load-language-model.ts';
import { optConfig, optConfigFromJson } from './opt-config.ts';
import { describeOptParams } from './opt-weights.ts';
import { flanT5Config, t5ConfigFromJson } from './t5-config.ts';
import { describeT5Params } from './t5-weights.ts';

const readConfig = (folder: string): Record<string, Record<string, unknown>> =>
  JSON.parse(readFileSync(fixturePath('models', folder, 'config.json'), 'utf8'));

describe('OPT configurations', () => {
  it('takes the reference defaults for what BLIP-2 leaves out', () => {
    expect(optConfigFromJson({ model_type: 'opt' })).toEqual(optConfig('125m'));
    expect(optConfigFromJson(readConfig('blip2-opt')['text_config'])).toMatchInlineSnapshot(`
      {
        "activation": "relu",
        "beginTokenId": 2,
        "embeddingWidth": 48,
        "endTokenIds": [
          84,
        ],
        "feedForwardWidth": 96,
        "finalNorm": true,
        "heads": 4,
        "layers": 3,
        "linearBias": true,
        "maxPositions": 64,
        "normAffine": true,
        "normBefore": true,
        "normEpsilon": 0.00001,
        "padTokenId": 1,
        "vocabSize": 448,
        "width": 48,
      }
    `);
  });

  it('has the 350m style', () => {
    const { normBefore, finalNorm, width, embeddingWidth } = optConfig('350m');
    expect({ normBefore, finalNorm, width, embeddingWidth }).toEqual({
      normBefore: false,
      finalNorm: false,
      width: 1024,
      embeddingWidth: 512,
    });
    expect(optConfigFromJson({ _remove_final_layer_norm: true }).finalNorm).toBe(false);
  });

  it('refuses what cannot be', () => {
    const problem = (json: unknown) => () => optConfigFromJson(json);
    expect(problem({ model_type: 't5' })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: OPT configuration: model_type is "t5", expected "opt". Load this checkpoint with the package that knows such models, or pass the right config.json.]`,
    );
    expect(problem({ hidden_size: 10, num_attention_heads: 4 })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: OPT configuration: hidden_size 10 cannot be split into 4 heads of equal width. Correct one of the two.]`,
    );
    expect(problem({ hidden_size: -1, activation_function: 'swish' })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: OPT configuration: hidden_size is -1, expected at least 1; activation_function is "swish", expected one of gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, relu, silu. Correct config.json, or download it again.]`,
    );
    expect(problem(null)).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: OPT configuration is null, expected an object. Pass the parsed config.json of a model.]`,
    );
  });
});

describe('T5 configurations', () => {
  it('lets dense_act_fn win over feed_forward_proj', () => {
    expect(t5ConfigFromJson(readConfig('blip2-flan-t5')['text_config'])).toMatchObject({
      activation: 'gelu',
      gatedFeedForward: true,
      tiedHead: false,
    });
    expect(t5ConfigFromJson({ feed_forward_proj: 'gated-gelu' })).toMatchObject({
      activation: 'gelu_new',
      gatedFeedForward: true,
    });
    expect(t5ConfigFromJson({})).toMatchObject({
      activation: 'relu',
      gatedFeedForward: false,
      tiedHead: true,
      scaleTiedHead: true,
      decoderLayers: 6,
      decoderStartTokenId: 0,
    });
    expect(t5ConfigFromJson({ scale_decoder_outputs: false }).scaleTiedHead).toBe(false);
  });

  it('refuses what cannot be', () => {
    const problem = (json: unknown) => () => t5ConfigFromJson(json);
    expect(problem({ model_type: 'mt5' })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: T5 configuration: model_type is "mt5", expected "t5". Load this checkpoint with the package that knows such models, or pass the right config.json.]`,
    );
    expect(problem({ feed_forward_proj: 'gated-swish' })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: T5 configuration: feed_forward_proj is "gated-swish", expected an activation such as "relu", or "gated-" and one. Correct config.json, or set dense_act_fn and is_gated_act there.]`,
    );
    expect(problem({ relative_attention_num_buckets: 7 })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: T5 configuration: relative_attention_num_buckets is 7, expected an even number of 4 or more. Correct config.json.]`,
    );
  });
});

describe('parameter counts', () => {
  // Section 1 of the specification; the sizes of the published checkpoints.
  it.each([
    ['2.7b', 2_651_678_720],
    ['6.7b', 6_658_605_056],
  ] as const)('OPT-%s inside BLIP-2', (size, count) => {
    expect(countParameters(describeOptParams(describeOnlyReader('OPT'), optConfig(size, { vocabSize: 50304 })))).toBe(count);
  });

  it.each([
    ['xl', 2_849_757_184],
    ['xxl', 11_135_332_352],
  ] as const)('Flan-T5-%s', (size, count) => {
    expect(countParameters(describeT5Params(describeOnlyReader('T5'), flanT5Config(size)))).toBe(count);
  });

  it.each(['125m', '1.3b', '2.7b', '6.7b', '13b', '30b', '66b'] as const)('plain OPT-%s', (size) => {
    const { width, layers, vocabSize } = optConfig(size);
    const attention = 4 * (width * width + width);
    const feedForward = 8 * width * width + 5 * width;
    const norms = 4 * width;
    const expected = layers * (attention + feedForward + norms) + (vocabSize + 2050 + 2) * width;
    expect(countParameters(describeOptParams(describeOnlyReader('OPT'), optConfig(size)))).toBe(expected);
  });

  it('plain OPT-350m', () => {
    expect(countParameters(describeOptParams(describeOnlyReader('OPT'), optConfig('350m')))).toBe(331_196_416);
  });

  it('describes by configuration', () => {
    const reader = describeOnlyReader('language model');
    expect(countParameters(describeLanguageModel(reader, { model_type: 'opt' }))).toBe(125_239_296);
    expect(reader.taken[0]!.name).toMatch(/^language_model\./);
    expect(() => describeLanguageModel(reader, { model_type: 'llama' })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: describeLanguageModel: the configuration describes a language model of type "llama", expected "opt" or "t5". Use a checkpoint with one of these, or implement LanguageModel of @blip2/core for yours.]`,
    );
  });
});
