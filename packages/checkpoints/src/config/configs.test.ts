import { readFileSync } from 'node:fs';
import { ConfigError } from '@blip2/core';
import { fixturePath } from '@blip2/testing';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { openCheckpointFolder } from '../node/open-folder.ts';
import { checkpointFromFiles, type OpenedCheckpoint } from '../checkpoint/open-checkpoint-files.ts';
import { encodeSafetensors } from '../safetensors/encode-safetensors.ts';
import { parseBlip2Config, parseModelConfig } from './blip2-config.ts';
import { parseOptConfig, parseT5Config } from './language-config.ts';
import { parseGenerationConfig, parsePreprocessorConfig, parseProcessorConfig } from './processor-configs.ts';
import {
  readBlip2Config,
  readGenerationConfig,
  readJsonFile,
  readModelConfig,
  readPreprocessorConfig,
  readProcessorConfig,
} from './read-config-files.ts';
import { parseClipVisionConfig } from './vision-config.ts';

function message(run: () => unknown): string {
  try {
    run();
  } catch (cause) {
    expect(cause).toBeInstanceOf(ConfigError);
    return (cause as ConfigError).message;
  }
  throw new Error('nothing was thrown');
}

async function folderWith(files: Record<string, string>): Promise<OpenedCheckpoint> {
  const entries = Object.entries(files).map(([name, text]) => [name, new TextEncoder().encode(text)] as const);
  return checkpointFromFiles('folder', new Map([...entries, ['model.safetensors', encodeSafetensors({})]]));
}

function fixtureJson(folder: string): Record<string, unknown> {
  return JSON.parse(readFileSync(fixturePath('models', folder, 'config.json'), 'utf8')) as Record<string, unknown>;
}

describe('config.json of BLIP-2', () => {
  test("an empty one is the first released architecture: the reference's defaults at every level", () => {
    expect(parseBlip2Config({ model_type: 'blip-2' })).toMatchInlineSnapshot(`
      {
        "image_text_hidden_size": 256,
        "image_token_index": null,
        "initializer_factor": 1,
        "initializer_range": 0.02,
        "model_type": "blip-2",
        "num_query_tokens": 32,
        "qformer_config": {
          "attention_probs_dropout_prob": 0.1,
          "cross_attention_frequency": 2,
          "encoder_hidden_size": 1408,
          "hidden_act": "gelu",
          "hidden_dropout_prob": 0.1,
          "hidden_size": 768,
          "initializer_range": 0.02,
          "intermediate_size": 3072,
          "layer_norm_eps": 1e-12,
          "max_position_embeddings": 512,
          "model_type": "blip_2_qformer",
          "num_attention_heads": 12,
          "num_hidden_layers": 12,
          "pad_token_id": 0,
          "use_qformer_text_input": false,
          "vocab_size": 30522,
        },
        "text_config": {
          "_remove_final_layer_norm": false,
          "activation_function": "relu",
          "attention_dropout": 0,
          "bos_token_id": 2,
          "do_layer_norm_before": true,
          "dropout": 0.1,
          "enable_bias": true,
          "eos_token_id": 2,
          "ffn_dim": 3072,
          "hidden_size": 768,
          "init_std": 0.02,
          "layer_norm_elementwise_affine": true,
          "layerdrop": 0,
          "max_position_embeddings": 2048,
          "model_type": "opt",
          "num_attention_heads": 12,
          "num_hidden_layers": 12,
          "pad_token_id": 1,
          "tie_word_embeddings": true,
          "vocab_size": 50272,
          "word_embed_proj_dim": 768,
        },
        "tie_word_embeddings": true,
        "use_decoder_only_language_model": true,
        "vision_config": {
          "attention_dropout": 0,
          "hidden_act": "gelu",
          "hidden_size": 1408,
          "image_size": 224,
          "initializer_range": 1e-10,
          "intermediate_size": 6144,
          "layer_norm_eps": 0.000001,
          "model_type": "blip_2_vision_model",
          "num_attention_heads": 16,
          "num_hidden_layers": 39,
          "patch_size": 14,
          "qkv_bias": true,
        },
      }
    `);
  });

  test.each(['blip2-opt', 'blip2-flan-t5', 'blip2-itm'])('%s: short and long forms agree on what they say', (folder) => {
    const json = fixtureJson(folder);
    expect(parseBlip2Config(json)).toMatchObject(json);
  });

  test.each([
    ['blip2-opt', 'blip2-opt-float16'],
    ['blip2-flan-t5', 'blip2-flan-t5-bfloat16-sharded'],
  ])('%s, which leaves defaults out, completes to %s, which the current library wrote with all of them', (short, long) => {
    const written = parseBlip2Config(fixtureJson(long));
    const completed = parseBlip2Config(fixtureJson(short));
    for (const part of ['vision_config', 'qformer_config', 'text_config'] as const) {
      const { tie_word_embeddings: _, ...expected } = { tie_word_embeddings: undefined, ...written[part] };
      const known = Object.fromEntries(Object.entries(expected).filter(([key]) => key in completed[part]));
      expect(completed[part]).toMatchObject(known);
      // Whatever the library writes and the completed form lacks has no influence on the numbers.
      const absent = Object.keys(expected).filter((key) => !(key in completed[part]));
      expect(
        absent.every((key) => UNUSED_FIELDS.has(key)),
        absent.join(),
      ).toBe(true);
    }
  });

  test("the width of image features is always the vision encoder's", () => {
    const config = parseBlip2Config({
      model_type: 'blip-2',
      vision_config: { hidden_size: 64 },
      qformer_config: { encoder_hidden_size: 1408 },
    });
    expect(config.qformer_config.encoder_hidden_size).toBe(64);
  });

  test('both spellings of both renamed fields', () => {
    const early = parseBlip2Config({ model_type: 'blip-2', image_token_id: 7, qformer_config: { qformer_text_input: true } });
    expect([early.image_token_index, early.qformer_config.use_qformer_text_input]).toEqual([7, true]);
    expect('qformer_text_input' in early.qformer_config).toBe(false);
    const current = parseBlip2Config({
      model_type: 'blip-2',
      image_token_index: 8,
      qformer_config: { use_qformer_text_input: true },
    });
    expect([current.image_token_index, current.qformer_config.use_qformer_text_input]).toEqual([8, true]);
    const both = parseBlip2Config({
      model_type: 'blip-2',
      qformer_config: { use_qformer_text_input: false, qformer_text_input: true },
    });
    expect(both.qformer_config.use_qformer_text_input).toBe(false);
  });

  test('the family of the language model decides, not a stale flag', () => {
    const t5 = parseBlip2Config({
      model_type: 'blip-2',
      use_decoder_only_language_model: true,
      text_config: { model_type: 't5' },
    });
    expect(t5.use_decoder_only_language_model).toBe(false);
  });

  test('a CLIP vision encoder in a BLIP-2 configuration', () => {
    const json = {
      model_type: 'blip-2',
      vision_config: { model_type: 'clip_vision_model', hidden_size: 1024, num_attention_heads: 16 },
    };
    const config = parseBlip2Config(json);
    expect(config.vision_config).toMatchObject({
      model_type: 'clip_vision_model',
      layer_norm_eps: 1e-5,
      hidden_act: 'quick_gelu',
    });
    expect(config.qformer_config.encoder_hidden_size).toBe(1024);
  });

  test('the wrong epsilon of old files is reported and can be overridden', () => {
    const warnings: string[] = [];
    const json = { model_type: 'blip-2', vision_config: { layer_norm_eps: 1e-5 } };
    const onWarning = (warning: string): void => void warnings.push(warning);
    expect(parseBlip2Config(json, 'config.json', { onWarning }).vision_config.layer_norm_eps).toBe(1e-5);
    expect(warnings).toMatchInlineSnapshot(`
      [
        "config.json: vision_config.layer_norm_eps is 1e-5, as in files from before September 2023; the published weights were trained with 1e-6. Results will differ slightly from the reference. Fetch the file again, or pass visionLayerNormEpsilon: 1e-6.",
      ]
    `);
    const overridden = parseBlip2Config(json, 'config.json', { onWarning, visionLayerNormEpsilon: 1e-6 });
    expect(overridden.vision_config.layer_norm_eps).toBe(1e-6);
    expect(warnings).toHaveLength(1);
    parseBlip2Config({ model_type: 'blip-2' }, 'config.json', { onWarning });
    expect(warnings).toHaveLength(1);
  });

  test('unknown and stale fields are kept and do no harm', () => {
    const config = parseBlip2Config({
      model_type: 'blip-2',
      new_field: { a: 1 },
      vision_config: { projection_dim: 512, dropout: 0 },
    });
    expect(config).toMatchObject({ new_field: { a: 1 }, vision_config: { projection_dim: 512 } });
  });

  test('what cannot be is told field by field', () => {
    const blip2 = (fields: Record<string, unknown>) => (): unknown => parseBlip2Config({ model_type: 'blip-2', ...fields });
    const cases = {
      types: blip2({ num_query_tokens: '32', vision_config: { hidden_size: 1.5, qkv_bias: 1, layer_norm_eps: 0 } }),
      heads: blip2({ vision_config: { num_attention_heads: 7 }, qformer_config: { num_attention_heads: 0 } }),
      'language model': blip2({ text_config: { model_type: 'llama' } }),
      'vision model': blip2({ vision_config: { model_type: 'siglip' } }),
      'part is a list': blip2({ qformer_config: [] }),
      'part is a number': blip2({ text_config: 7 }),
      'six problems': blip2({
        vision_config: {
          hidden_size: 0,
          image_size: 0,
          patch_size: 0,
          num_hidden_layers: 0,
          intermediate_size: 0,
          hidden_act: 0,
        },
      }),
      't5 fields': blip2({ text_config: { model_type: 't5', eos_token_id: 'x', d_kv: -1 } }),
    };
    expect(Object.fromEntries(Object.entries(cases).map(([kind, run]) => [kind, message(run)]))).toMatchInlineSnapshot(`
      {
        "heads": "config.json: vision_config.num_attention_heads is 7, expected a divisor of hidden_size, 1408; qformer_config.num_attention_heads is 0, expected at least 1. Correct the file, or fetch it again from where the model was published.",
        "language model": "config.json: text_config.model_type is 'llama', expected 'opt' or 't5'. Correct the file, or fetch it again from where the model was published.",
        "part is a list": "config.json: qformer_config is [], expected object. Correct the file, or fetch it again from where the model was published.",
        "part is a number": "config.json: text_config is 7, expected object. Correct the file, or fetch it again from where the model was published.",
        "six problems": "config.json: vision_config.hidden_size is 0, expected at least 1; vision_config.intermediate_size is 0, expected at least 1; vision_config.num_hidden_layers is 0, expected at least 1; vision_config.image_size is 0, expected at least 1; vision_config.patch_size is 0, expected at least 1 and 1 more problems. Correct the file, or fetch it again from where the model was published.",
        "t5 fields": "config.json: text_config.d_kv is -1, expected at least 1; text_config.eos_token_id is 'x', expected a token id or a list of them. Correct the file, or fetch it again from where the model was published.",
        "types": "config.json: num_query_tokens is '32', expected a whole number; vision_config.hidden_size is 1.5, expected a whole number; vision_config.layer_norm_eps is 0, expected a positive number; vision_config.qkv_bias is 1, expected boolean. Correct the file, or fetch it again from where the model was published.",
        "vision model": "config.json: vision_config.model_type is 'siglip', expected 'blip_2_vision_model' or 'clip_vision_model'. Correct the file, or fetch it again from where the model was published.",
      }
    `);
  });

  test("another model's configuration is named", () => {
    const files: unknown[] = [
      { model_type: 'llava' },
      { model_type: 'blip' },
      { model_type: 'instructblip' },
      {},
      { model_type: 2 },
      [],
      null,
      'x',
    ];
    expect(files.map((json) => message(() => parseBlip2Config(json)))).toMatchInlineSnapshot(`
      [
        "config.json: model_type is 'llava', expected 'blip-2'. The folder holds another model; check the path or the repository id.",
        "config.json: model_type is 'blip', expected 'blip-2'. BLIP and BLIP-2 are different models; take a checkpoint such as Salesforce/blip2-opt-2.7b.",
        "config.json: model_type is 'instructblip', expected 'blip-2'. InstructBLIP gives its Q-Former the instruction and is not supported; take a checkpoint such as Salesforce/blip2-flan-t5-xl.",
        "config.json: has no model_type, expected 'blip-2'. Check that this is the configuration of a model.",
        "config.json: has no model_type, expected 'blip-2'. Check that this is the configuration of a model.",
        "config.json: holds [], expected an object with model_type 'blip-2'. Fetch the file again.",
        "config.json: holds null, expected an object with model_type 'blip-2'. Fetch the file again.",
        "config.json: holds "x", expected an object with model_type 'blip-2'. Fetch the file again.",
      ]
    `);
    expect(message(() => parseModelConfig({ model_type: 'gpt2' }))).toMatchInlineSnapshot(
      `"config.json: model_type is 'gpt2', expected 'blip-2' or 'opt' or 't5' or 'clip_vision_model' or 'clip'. The folder holds another model; check the path or the repository id."`,
    );
    expect(message(() => parseOptConfig({ model_type: 'blip-2' }))).toMatchInlineSnapshot(
      `"config.json: model_type is 'blip-2', expected 'opt'. This is a whole BLIP-2 model; load it as one."`,
    );
  });
});

/** Fields of files that no computation reads: they belong to the library's own training and serving code. */
const UNUSED_FIELDS = new Set(['classifier_dropout', 'dtype', 'architectures', 'use_cache', 'is_decoder', 'activation_dropout']);

describe('config.json of other models', () => {
  test('OPT: the width of the embedding is that of the model unless it says otherwise', () => {
    expect(parseOptConfig({ model_type: 'opt', hidden_size: 48, num_attention_heads: 4 }).word_embed_proj_dim).toBe(48);
    expect(parseOptConfig(fixtureJson('opt-350m-style'))).toMatchObject({ word_embed_proj_dim: 32, do_layer_norm_before: false });
    expect(parseOptConfig({ model_type: 'opt', eos_token_id: [2, 50118] }).eos_token_id).toEqual([2, 50118]);
  });

  test('T5: the activation of the file wins over the one its projection implies', () => {
    const activation = (fields: object): unknown[] => {
      const { dense_act_fn: act, is_gated_act: gated } = parseT5Config({ model_type: 't5', ...fields });
      return [act, gated];
    };
    expect(activation({})).toEqual(['relu', false]);
    expect(activation({ feed_forward_proj: 'gated-gelu' })).toEqual(['gelu_new', true]);
    expect(activation({ feed_forward_proj: 'gated-gelu', dense_act_fn: 'gelu' })).toEqual(['gelu', true]);
    expect(activation({ feed_forward_proj: 'gated-silu' })).toEqual(['silu', true]);
  });

  test('T5: the decoder has as many blocks as the encoder, and starts with the padding token, unless it says otherwise', () => {
    expect(parseT5Config({ model_type: 't5', num_layers: 3 })).toMatchObject({
      num_decoder_layers: 3,
      decoder_start_token_id: 0,
      bos_token_id: null,
    });
    expect(parseT5Config(fixtureJson('t5-v1.0-style'))).toMatchObject({
      num_layers: 2,
      num_decoder_layers: 2,
      dense_act_fn: 'relu',
      tie_word_embeddings: true,
    });
  });

  test('CLIP: the vision model alone, or inside a whole model', () => {
    expect(parseClipVisionConfig(fixtureJson('clip-vit-l-vision'))).toMatchObject({ hidden_size: 40, layer_norm_eps: 1e-5 });
    const whole = {
      model_type: 'clip',
      vision_config: { hidden_size: 1024, num_attention_heads: 16, patch_size: 14 },
      text_config: {},
    };
    expect(parseModelConfig(whole)).toMatchObject({ model_type: 'clip_vision_model', hidden_size: 1024, patch_size: 14 });
  });

  test.each([
    ['blip2-opt', 'blip-2'],
    ['opt-125m-style', 'opt'],
    ['flan-t5-style', 't5'],
    ['clip-vit-l-vision', 'clip_vision_model'],
  ])('%s is recognised as %s', async (folder, type) => {
    const checkpoint = await openCheckpointFolder(fixturePath('models', folder));
    expect((await readModelConfig(checkpoint)).model_type).toBe(type);
    checkpoint.dispose();
  });
});

describe('the other files', () => {
  test('preprocessor_config.json is completed by the class it names', () => {
    expect(parsePreprocessorConfig({})).toMatchObject({
      size: { height: 384, width: 384 },
      do_center_crop: false,
      crop_size: null,
      rescale_factor: 1 / 255,
    });
    expect(parsePreprocessorConfig({ image_processor_type: 'CLIPImageProcessor' })).toMatchObject({
      size: { shortest_edge: 224 },
      do_center_crop: true,
      crop_size: { height: 224, width: 224 },
    });
    expect(parsePreprocessorConfig({ image_processor_type: 'CLIPImageProcessor', size: 336 }).size).toEqual({
      shortest_edge: 336,
    });
    expect(parsePreprocessorConfig({ size: 364 }).size).toEqual({ height: 364, width: 364 });
    expect(
      message(() => parsePreprocessorConfig({ size: { height: 2 }, image_mean: [1, 2], resample: 9 })),
    ).toMatchInlineSnapshot(
      `"preprocessor_config.json: size is {\\"height\\":2}, expected pixels, or an object with height and width, or with shortest_edge; resample is 9, expected 0 to 5, Pillow's number of a filter; image_mean is [1,2], expected three numbers. Correct the file, or fetch it again from where the model was published."`,
    );
  });

  test('generation_config.json keeps what it says, checked', () => {
    expect(parseGenerationConfig({ eos_token_id: [1, 2], num_beams: 5, top_p: 0.9, new: 1 })).toEqual({
      eos_token_id: [1, 2],
      num_beams: 5,
      top_p: 0.9,
      new: 1,
    });
    expect(message(() => parseGenerationConfig({ top_p: 2, num_beams: 0, early_stopping: 'maybe' }))).toMatchInlineSnapshot(
      `"generation_config.json: num_beams is 0, expected at least 1; top_p is 2, expected 0 to 1; early_stopping is 'maybe', expected true, false or 'never'. Correct the file, or fetch it again from where the model was published."`,
    );
  });

  test('the image token of processor_config.json may be text or an object', () => {
    expect(parseProcessorConfig({ image_token: '<image>' }).image_token).toBe('<image>');
    expect(parseProcessorConfig({ image_token: { content: '<image>', special: true }, num_query_tokens: 32 })).toMatchObject({
      image_token: '<image>',
      num_query_tokens: 32,
    });
    expect(parseProcessorConfig({}).image_token).toBeUndefined();
  });

  test('fixtures are read through a checkpoint', async () => {
    const checkpoint = await openCheckpointFolder(fixturePath('models/blip2-opt'));
    expect((await readBlip2Config(checkpoint)).num_query_tokens).toBe(6);
    expect(await readGenerationConfig(checkpoint)).toMatchObject({ bos_token_id: 2, eos_token_id: 84 });
    expect(await readPreprocessorConfig(checkpoint)).toMatchObject({ size: { height: 42, width: 42 }, resample: 3 });
    expect(await readProcessorConfig(checkpoint)).toMatchObject({ num_query_tokens: 6, image_token: '<image>' });
    checkpoint.dispose();
  });

  test('an image processor inside processor_config.json is found', async () => {
    const checkpoint = await folderWith({ 'processor_config.json': '{"image_processor": {"size": {"height": 8, "width": 8}}}' });
    expect((await readPreprocessorConfig(checkpoint))?.size).toEqual({ height: 8, width: 8 });
    expect(await readPreprocessorConfig(await folderWith({}))).toBeUndefined();
    expect(await readGenerationConfig(await folderWith({}))).toBeUndefined();
  });
});

describe('readJsonFile', () => {
  test('says what is wrong with a file', async () => {
    const checkpoint = await folderWith({
      'broken.json': '{\n  "a": 1,\n}',
      'schema.json': '{"a": {"b": [1, "x"]}}',
    });
    const schema = z.object({ a: z.object({ b: z.array(z.number()) }), c: z.string() });
    const errors = await Promise.all(
      [
        readJsonFile(checkpoint, 'missing.json'),
        readJsonFile(checkpoint, 'broken.json'),
        readJsonFile(checkpoint, 'schema.json', { schema }),
      ].map((reading) => reading.catch((cause: unknown) => (cause as Error).message)),
    );
    expect(errors).toMatchInlineSnapshot(`
      [
        "folder/missing.json: missing, expected a JSON file. Fetch it from where the model was published.",
        "folder/broken.json: is broken JSON: found '}' at line 3, column 1, expected a quoted key. Correct the file, or fetch it again.",
        "folder/schema.json: a.b.1 is 'x', expected number; c is missing, expected string. Correct the file, or fetch it again from where the model was published.",
      ]
    `);
  });

  test('types and checks by schema; a missing file may be allowed', async () => {
    const checkpoint = await folderWith({ 'a.json': '\ufeff{"a": 1}' });
    const { a } = await readJsonFile(checkpoint, 'a.json', { schema: z.object({ a: z.number() }) });
    expect(a).toBe(1);
    expect(await readJsonFile(checkpoint, 'b.json', { optional: true })).toBeUndefined();
  });
});
