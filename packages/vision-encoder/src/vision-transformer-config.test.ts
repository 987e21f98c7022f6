import { countParameters, describeOnlyReader } from '@blip2/core';
import { fixturePath } from '@blip2/testing';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CLIP_VIT_L, EVA_VIT_G, visionConfigFromJson, type VisionTransformerConfig } from './vision-transformer-config.ts';
import { describeVisionTransformer } from './vision-transformer-weights.ts';

const countOf = (config: VisionTransformerConfig): number =>
  countParameters(describeVisionTransformer(describeOnlyReader('vision encoder'), config));

describe('parameters at full size', () => {
  it('are the published ones, to the unit', () => {
    const finalNorm = 2 * 1408; // ln_vision, counted with the Q-Former here and with the encoder there
    expect(countOf(EVA_VIT_G) + finalNorm).toBe(985_952_256);
    expect(countOf({ ...EVA_VIT_G, imageSize: 364 }) + finalNorm).toBe(986_543_616);
    expect(countOf({ ...EVA_VIT_G, imageSize: 490 }) - countOf(EVA_VIT_G)).toBe((1226 - 257) * 1408);
  });

  it('of CLIP ViT-L/14 are those of its tower without the final norm', () => {
    const finalNorm = 2 * 1024;
    expect(countOf({ ...CLIP_VIT_L, layers: 24 }) + finalNorm).toBe(303_179_776);
  });
});

describe('visionConfigFromJson', () => {
  it('takes the defaults of transformers for BLIP-2', () => {
    const config = visionConfigFromJson({ model_type: 'blip-2', vision_config: {} });
    expect(config).toEqual({ ...EVA_VIT_G, layersInCheckpoint: 39 });
    expect(visionConfigFromJson({ model_type: 'blip_2_vision_model', image_size: 364 }).imageSize).toBe(364);
  });

  it('reads the configuration of CLIP ViT-L/14, alone and inside', () => {
    const json = {
      model_type: 'clip_vision_model',
      hidden_size: 1024,
      intermediate_size: 4096,
      num_attention_heads: 16,
      num_hidden_layers: 24,
      patch_size: 14,
    };
    expect(visionConfigFromJson(json)).toEqual(CLIP_VIT_L);
    expect(visionConfigFromJson({ model_type: 'clip', vision_config: { ...json, model_type: undefined } })).toEqual(CLIP_VIT_L);
    expect(visionConfigFromJson({ model_type: 'blip-2', vision_config: json })).toEqual(CLIP_VIT_L);
    expect(visionConfigFromJson(json, { layers: 24 }).layers).toBe(24);
  });

  it('ignores stale keys of real files', () => {
    const json: unknown = JSON.parse(readFileSync(fixturePath('models/blip2-opt/config.json'), 'utf8'));
    expect(visionConfigFromJson(json)).toMatchObject({ width: 40, layers: 3, heads: 4, feedForwardWidth: 88, imageSize: 42 });
  });

  it('warns of the old epsilon, and takes another', () => {
    const json = { model_type: 'blip_2_vision_model', layer_norm_eps: 1e-5 };
    const warnings: string[] = [];
    const onWarning = (message: string): number => warnings.push(message);
    expect(visionConfigFromJson(json, { onWarning }).normEpsilon).toBe(1e-5);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatchInlineSnapshot(
      `"vision config: layer_norm_eps is 1e-5, a mistake in BLIP-2 files from before September 2023; the encoder was trained with 1e-6. Download config.json again, or pass { normEpsilon: 1e-6 }. Passing 1e-5 keeps the value and silences this."`,
    );
    expect(visionConfigFromJson(json, { onWarning, normEpsilon: 1e-6 }).normEpsilon).toBe(1e-6);
    expect(visionConfigFromJson({ model_type: 'clip_vision_model' }, { onWarning }).normEpsilon).toBe(1e-5);
    expect(warnings).toHaveLength(1);
  });

  it('says what is wrong', () => {
    const eva = { model_type: 'blip_2_vision_model' };
    expect(() => visionConfigFromJson([])).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: vision config is an array, expected an object. Pass the parsed config.json of a model.]`,
    );
    expect(() => visionConfigFromJson({ model_type: 'llama' })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: vision config: model_type is "llama", expected 'blip-2', 'clip', 'blip_2_vision_model' or 'clip_vision_model'. Pass the config.json of such a model.]`,
    );
    expect(() => visionConfigFromJson({ model_type: 'blip-2', vision_config: 3 })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: vision_config is a number, expected an object. Pass the parsed config.json of a model.]`,
    );
    expect(() => visionConfigFromJson({ ...eva, hidden_size: '1408', hidden_act: 'mish' })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: vision config: hidden_size is "1408", expected a whole number; hidden_act is "mish", expected one of gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, relu, silu. Correct config.json, or download it again.]`,
    );
    expect(() => visionConfigFromJson({ ...eva, num_attention_heads: 15 })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: vision config: hidden_size 1408 cannot be split into 15 heads. Correct the configuration.]`,
    );
    expect(() => visionConfigFromJson({ ...eva, image_size: 8 })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: vision config: image_size 8 is below patch_size 14. Correct the configuration.]`,
    );
    expect(() => visionConfigFromJson(eva, { layers: 40 })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: vision config: layers is 40, expected a whole number from 1 to 39. Correct the configuration.]`,
    );
  });
});
