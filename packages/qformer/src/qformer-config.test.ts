import { countParameters, type Described, describeOnlyReader } from '@blip2/core';
import { fixturePath } from '@blip2/testing';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { QFormerParams } from './qformer.ts';
import {
  QFORMER_MATCHING,
  QFORMER_STAGE_1,
  QFORMER_STAGE_2,
  type QFormerConfig,
  qformerConfigFromJson,
} from './qformer-config.ts';
import { describeQFormer } from './qformer-weights.ts';

const describeAll = (config: QFormerConfig): Described<QFormerParams> => describeQFormer(describeOnlyReader('Q-Former'), config);

describe('parameters at full size are the published ones, to the unit', () => {
  it('of stage 2: the Q-Former, its queries, and all that is trained', () => {
    const tree = describeAll(QFORMER_STAGE_2);
    expect(countParameters([tree.layers, tree.inputs.norm])).toBe(105_137_664);
    expect(countParameters(tree.inputs.queryTokens)).toBe(24_576);
    expect(countParameters(tree.heads)).toBe(1_968_640);
    expect(countParameters(tree)).toBe(107_133_696); // OPT-2.7B behind ViT-g
    const trained = (promptWidth: number, imageFeatureWidth = 1408): number =>
      countParameters(describeAll({ ...QFORMER_STAGE_2, promptWidth, imageFeatureWidth }));
    expect(trained(4096)).toBe(108_314_880); // OPT-6.7B and Flan-T5-XXL
    expect(trained(2048)).toBe(106_739_968); // Flan-T5-XL
    expect(trained(2560, 1024)).toBe(103_593_984); // OPT-2.7B behind ViT-L
    expect(trained(2048, 1024)).toBe(103_200_256); // Flan-T5-XL behind ViT-L
  });

  it('of the matching models', () => {
    const tree = describeAll(QFORMER_MATCHING);
    expect(countParameters([tree.layers, tree.inputs.norm])).toBe(161_825_280);
    expect(countParameters(tree.text)).toBe(23_834_880);
    const withoutImageNorm = countParameters(tree) - countParameters(tree.inputs.imageNorm);
    expect(withoutImageNorm + 985_952_256).toBe(1_172_032_258); // blip2-itm-vit-g, where ln_vision counts with the encoder
  });

  it('of stage 1: 186.7 million, the caption head tied to the words', () => {
    expect(countParameters(describeAll(QFORMER_STAGE_1))).toBe(186_705_470);
  });
});

describe('qformerConfigFromJson', () => {
  const fixture = (folder: string): unknown => JSON.parse(readFileSync(fixturePath('models', folder, 'config.json'), 'utf8'));
  const weights = (...names: string[]) => ({
    get: (name: string) => (names.includes(name) ? describeOnlyReader('toy').take(name, [96, 32]) : undefined),
  });

  it('gives the presets for the official models', () => {
    const opt = {
      model_type: 'blip-2',
      text_config: { model_type: 'opt', hidden_size: 2560 },
      qformer_config: { vocab_size: 30523 },
    };
    expect(qformerConfigFromJson(opt)).toEqual(QFORMER_STAGE_2);
    const itm = { model_type: 'blip-2', qformer_config: { vocab_size: 30523, use_qformer_text_input: true } };
    expect(qformerConfigFromJson(itm)).toEqual(QFORMER_MATCHING);
    const early = { model_type: 'blip-2', qformer_config: { vocab_size: 30523, qformer_text_input: true } };
    expect(qformerConfigFromJson(early)).toEqual(QFORMER_MATCHING);
  });

  it('reads the fixtures, old style and new', () => {
    expect(qformerConfigFromJson(fixture('blip2-opt'))).toMatchObject({
      queries: 6,
      width: 32,
      promptWidth: 48,
      readsText: false,
    });
    expect(qformerConfigFromJson(fixture('blip2-opt-float16'))).toMatchObject({ promptWidth: 48, imageNormEpsilon: 1e-6 });
    expect(qformerConfigFromJson(fixture('blip2-flan-t5'))).toMatchObject({ promptWidth: 40 });
    expect(qformerConfigFromJson(fixture('blip2-itm'))).toMatchObject({
      readsText: true,
      contrastiveWidth: 24,
      hasMatchingHead: true,
      maxPositions: 40,
      beginCaptionTokenId: 320,
    });
    expect(qformerConfigFromJson(fixture('blip2-itm')).promptWidth).toBeUndefined();
  });

  it('lets the weights say which parts there are', () => {
    const json = { model_type: 'blip-2', qformer_config: { use_qformer_text_input: true } };
    const conditioned = qformerConfigFromJson(json, { weights: weights('language_projection.weight') });
    expect(conditioned).toMatchObject({ readsText: true, hasMatchingHead: false, promptWidth: 768 });
    expect(conditioned.contrastiveWidth).toBeUndefined();
    const stage1 = qformerConfigFromJson(json, { weights: weights('cls.predictions.transform.dense.weight', 'temp') });
    expect(stage1).toMatchObject({ hasCaptionHead: true, hasTemperature: true, hasMatchingHead: true });
    const narrow = { model_type: 'blip-2', text_config: { model_type: 'opt', hidden_size: 128, word_embed_proj_dim: 96 } };
    expect(qformerConfigFromJson(narrow).promptWidth).toBe(128);
    expect(qformerConfigFromJson(narrow, { weights: weights('language_projection.weight') }).promptWidth).toBe(96);
  });

  it('takes the epsilon of ln_vision from the vision model, or from you', () => {
    const json = { model_type: 'blip-2', vision_config: { layer_norm_eps: 1e-5 } };
    expect(qformerConfigFromJson(json).imageNormEpsilon).toBe(1e-5);
    expect(qformerConfigFromJson(json, { imageNormEpsilon: 1e-6 }).imageNormEpsilon).toBe(1e-6);
    const clip = { model_type: 'blip-2', vision_config: { model_type: 'clip_vision_model', hidden_size: 1024 } };
    expect(qformerConfigFromJson(clip)).toMatchObject({ imageNormEpsilon: 1e-5, imageFeatureWidth: 1024 });
  });

  it('says what is wrong', () => {
    expect(() => qformerConfigFromJson({ model_type: 'llama' })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: Q-Former config: model_type is "llama", expected "blip-2". Pass the whole parsed config.json of a BLIP-2 model.]`,
    );
    expect(() => qformerConfigFromJson(null)).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: Q-Former config is null, expected an object. Pass the parsed config.json of a model.]`,
    );
    expect(() =>
      qformerConfigFromJson({ model_type: 'blip-2', qformer_config: { hidden_size: -1, hidden_act: 'mish' } }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: qformer_config: hidden_size is -1, expected at least 1; hidden_act is "mish", expected one of gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, relu, silu. Correct config.json, or download it again.]`,
    );
    expect(() =>
      qformerConfigFromJson({ model_type: 'blip-2', qformer_config: { num_attention_heads: 7 } }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: qformer_config: hidden_size 768 cannot be split into 7 heads. Correct the configuration.]`,
    );
  });
});
