import { CheckpointError, ConfigError, weightFromValues, type Weight, type WeightSource } from '@blip2/core';
import { fixturePath } from '@blip2/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { byteSourceFromBytes } from '../bytes/byte-source.ts';
import { openCheckpointFolder } from '../node/open-folder.ts';
import { encodeSafetensors } from '../safetensors/encode-safetensors.ts';
import { openSafetensors } from '../safetensors/open-safetensors.ts';
import { concatenatedWeight, zeroWeight } from './derived-weights.ts';
import { withHubNames, withLavisNames } from './hub-names.ts';

let next = 0;

/** A source of weights with running numbers as values, so that each value tells where it comes from. */
function source(shapes: Readonly<Record<string, readonly number[]>>): WeightSource {
  const weights = new Map<string, Weight>();
  for (const [name, shape] of Object.entries(shapes)) {
    const length = shape.reduce((product, size) => product * size, 1);
    weights.set(
      name,
      weightFromValues(
        name,
        shape,
        Float32Array.from({ length }, () => ++next),
      ),
    );
  }
  return { name: 'a.safetensors', names: [...weights.keys()], get: (name) => weights.get(name) };
}

function sourceOf(names: readonly string[]): WeightSource {
  return source(Object.fromEntries(names.map((name) => [name, [3]])));
}

const EVA = {
  'visual_encoder.cls_token': [1, 1, 2],
  'visual_encoder.pos_embed': [1, 5, 2],
  'visual_encoder.patch_embed.proj.weight': [2, 3, 1, 1],
  'visual_encoder.patch_embed.proj.bias': [2],
  'visual_encoder.blocks.0.norm1.weight': [2],
  'visual_encoder.blocks.0.norm2.bias': [2],
  'visual_encoder.blocks.0.attn.q_bias': [2],
  'visual_encoder.blocks.0.attn.v_bias': [2],
  'visual_encoder.blocks.0.attn.qkv.weight': [6, 2],
  'visual_encoder.blocks.0.attn.proj.weight': [2, 2],
  'visual_encoder.blocks.38.mlp.fc1.weight': [4, 2],
  'visual_encoder.blocks.38.mlp.fc2.bias': [2],
  'ln_vision.weight': [2],
  query_tokens: [1, 2, 2],
  'Qformer.bert.embeddings.position_ids': [1, 4],
  'opt_proj.weight': [2, 2],
  'opt_model.model.decoder.embed_tokens.weight': [4, 2],
  'opt_model.lm_head.weight': [4, 2],
};

describe('original names with EVA and OPT', () => {
  test('every name of the table', () => {
    expect(withHubNames(source(EVA)).names).toEqual([
      'vision_model.embeddings.class_embedding',
      'vision_model.embeddings.position_embedding',
      'vision_model.embeddings.patch_embedding.weight',
      'vision_model.embeddings.patch_embedding.bias',
      'vision_model.encoder.layers.0.layer_norm1.weight',
      'vision_model.encoder.layers.0.layer_norm2.bias',
      'vision_model.encoder.layers.0.self_attn.qkv.bias',
      'vision_model.encoder.layers.0.self_attn.qkv.weight',
      'vision_model.encoder.layers.0.self_attn.projection.weight',
      'vision_model.encoder.layers.38.mlp.fc1.weight',
      'vision_model.encoder.layers.38.mlp.fc2.bias',
      'vision_model.post_layernorm.weight',
      'query_tokens',
      'language_projection.weight',
      'language_model.model.decoder.embed_tokens.weight',
      'language_model.lm_head.weight',
    ]);
  });

  test('query and value biases become one bias with zeros for the keys', async () => {
    const original = source(EVA);
    const bias = withHubNames(original).get('vision_model.encoder.layers.0.self_attn.qkv.bias')!;
    const [query, value] = await Promise.all(
      ['q', 'v'].map((part) => original.get(`visual_encoder.blocks.0.attn.${part}_bias`)!.read()),
    );
    expect([bias.shape, bias.dtype, bias.location]).toEqual([[6], 'F32', undefined]);
    expect(Array.from(await bias.read())).toEqual([...query!, 0, 0, ...value!]);
    expect(Array.from(await bias.rows(1, 5).read())).toEqual([query![1], 0, 0, value![0]]);
    expect(Array.from(await bias.rows(1, 5).rows(3, 4).read())).toEqual([value![0]]);
    expect(Array.from(await bias.rows(2, 2).read())).toEqual([]);
  });

  test('there and back is the same source', async () => {
    const original = source(EVA);
    const back = withLavisNames(withHubNames(original));
    expect(back.names.toSorted()).toEqual(original.names.filter((name) => !name.endsWith('position_ids')).toSorted());
    for (const name of back.names) {
      expect(await back.get(name)!.read(), name).toEqual(await original.get(name)!.read());
      expect(back.get(name)!.name).toBe(name);
    }
  });
});

const CLIP = {
  'visual_encoder.class_embedding': [2],
  'visual_encoder.positional_embedding': [5, 2],
  'visual_encoder.conv1.weight': [2, 3, 1, 1],
  'visual_encoder.ln_pre.weight': [2],
  'visual_encoder.transformer.resblocks.0.ln_1.weight': [2],
  'visual_encoder.transformer.resblocks.0.attn.in_proj_weight': [6, 2],
  'visual_encoder.transformer.resblocks.0.attn.in_proj_bias': [6],
  'visual_encoder.transformer.resblocks.0.attn.out_proj.weight': [2, 2],
  'visual_encoder.transformer.resblocks.0.ln_2.bias': [2],
  'visual_encoder.transformer.resblocks.22.mlp.c_fc.weight': [4, 2],
  'visual_encoder.transformer.resblocks.22.mlp.c_proj.bias': [2],
  'ln_vision.weight': [2],
  't5_proj.weight': [2, 2],
  't5_model.shared.weight': [4, 2],
};

describe('original names with CLIP and T5', () => {
  test('every name of the table; the norm before the layers is misspelt in the Hub files', () => {
    const layer = 'vision_model.encoder.layers.0.self_attn';
    expect(withHubNames(source(CLIP)).names).toEqual([
      'vision_model.embeddings.class_embedding',
      'vision_model.embeddings.position_embedding.weight',
      'vision_model.embeddings.patch_embedding.weight',
      'vision_model.pre_layrnorm.weight',
      'vision_model.encoder.layers.0.layer_norm1.weight',
      ...['q', 'k', 'v'].map((part) => `${layer}.${part}_proj.weight`),
      ...['q', 'k', 'v'].map((part) => `${layer}.${part}_proj.bias`),
      `${layer}.out_proj.weight`,
      'vision_model.encoder.layers.0.layer_norm2.bias',
      'vision_model.encoder.layers.22.mlp.fc1.weight',
      'vision_model.encoder.layers.22.mlp.fc2.bias',
      'vision_model.post_layernorm.weight',
      'language_projection.weight',
      'language_model.shared.weight',
    ]);
  });

  test('fused matrices become three by byte range', async () => {
    const shape = [6, 2];
    const values = Float32Array.from({ length: 12 }, (_, index) => index);
    const name = 'visual_encoder.transformer.resblocks.0.attn.in_proj_weight';
    const file = await openSafetensors(byteSourceFromBytes('f', encodeSafetensors({ [name]: { shape, values, dtype: 'F16' } })));
    const renamed = withHubNames(file);
    const { byteOffset } = file.get(name)!.location!;
    for (const [index, part] of ['q', 'k', 'v'].entries()) {
      const weight = renamed.get(`vision_model.encoder.layers.0.self_attn.${part}_proj.weight`)!;
      expect([weight.shape, weight.dtype]).toEqual([[2, 2], 'F16']);
      expect(weight.location).toEqual({ file: 'f', byteOffset: byteOffset + 8 * index, byteLength: 8 });
      expect(await weight.read()).toEqual(values.slice(4 * index, 4 * index + 4));
    }
  });

  test('there and back is the same source', async () => {
    const original = source(CLIP);
    const back = withLavisNames(withHubNames(original));
    expect(back.names.toSorted()).toEqual(original.names.toSorted());
    for (const name of back.names) expect(await back.get(name)!.read(), name).toEqual(await original.get(name)!.read());
  });
});

describe('the stage-1 fixture', () => {
  test('there and back gives every weight but the buffer of positions', async () => {
    const checkpoint = await openCheckpointFolder(fixturePath('models/stage1'));
    const original = await openSafetensors(byteSourceFromBytes('f', await readModel()));
    const back = withLavisNames(checkpoint.weights);
    expect(back.names.toSorted()).toEqual(original.names.filter((name) => !name.endsWith('position_ids')).toSorted());
    for (const name of back.names) expect(await back.get(name)!.read(), name).toEqual(await original.get(name)!.read());
    checkpoint.dispose();
  });

  async function readModel(): Promise<Uint8Array> {
    const { readFile } = await import('node:fs/promises');
    return readFile(fixturePath('models/stage1/model.safetensors'));
  }
});

describe('separately published encoders', () => {
  test('eva_vit_g: without prefix, without block 39 and heads', () => {
    const names = ['cls_token', 'pos_embed', 'blocks.0.norm1.weight', 'blocks.38.attn.q_bias', 'blocks.38.attn.v_bias'];
    const unused = ['blocks.39.norm1.weight', 'blocks.39.attn.q_bias', 'norm.weight', 'head.weight', 'mask_token'];
    expect(withHubNames(sourceOf([...names, ...unused])).names).toEqual([
      'vision_model.embeddings.class_embedding',
      'vision_model.embeddings.position_embedding',
      'vision_model.encoder.layers.0.layer_norm1.weight',
      'vision_model.encoder.layers.38.self_attn.qkv.bias',
    ]);
  });

  test('clip_vit_L: without prefix, without block 23, last norm and projection', () => {
    const names = [
      'class_embedding',
      'conv1.weight',
      'transformer.resblocks.22.ln_1.bias',
      'transformer.resblocks.3.attn.in_proj_bias',
    ];
    const unused = ['transformer.resblocks.23.ln_1.bias', 'ln_post.weight', 'proj', 'logit_scale'];
    const self = 'vision_model.encoder.layers.3.self_attn';
    expect(withHubNames(sourceOf([...names, ...unused])).names).toEqual([
      'vision_model.embeddings.class_embedding',
      'vision_model.embeddings.patch_embedding.weight',
      'vision_model.encoder.layers.22.layer_norm1.bias',
      ...['q', 'k', 'v'].map((part) => `${self}.${part}_proj.bias`),
    ]);
  });
});

describe('other names stay', () => {
  test.each([
    [
      'a Hub checkpoint',
      ['vision_model.embeddings.class_embedding', 'query_tokens', 'embeddings.word_embeddings.weight', 'qformer.layernorm.bias'],
    ],
    ['OPT', ['model.decoder.embed_tokens.weight', 'lm_head.weight']],
    ['old OPT', ['decoder.embed_tokens.weight', 'decoder.layers.0.fc1.weight']],
    ['T5', ['shared.weight', 'encoder.block.0.layer.0.SelfAttention.q.weight', 'decoder.final_layer_norm.weight']],
  ])('%s is returned as it is', (_, names) => {
    const original = sourceOf(names);
    expect(withHubNames(original)).toBe(original);
  });

  test('in an original checkpoint, names that nobody knows are kept, so that loaders can report them', () => {
    const { names } = withHubNames(
      sourceOf(['Qformer.bert.pooler.dense.weight', 'visual_encoder.head.weight', 'temp', 'itm_head.bias']),
    );
    expect(names).toEqual(['Qformer.bert.pooler.dense.weight', 'visual_encoder.head.weight', 'temp', 'itm_head.bias']);
  });

  test('an unprefixed vision model gets its prefix, and nothing else does', () => {
    const names = [
      'embeddings.class_embedding',
      'encoder.layers.0.mlp.fc1.weight',
      'pre_layrnorm.weight',
      'post_layernorm.bias',
      'visual_projection.weight',
    ];
    const renamed = withHubNames(sourceOf(names));
    expect(renamed.names).toEqual([...names.slice(0, 4).map((name) => `vision_model.${name}`), 'visual_projection.weight']);
    expect(renamed.get('vision_model.pre_layrnorm.weight')!.name).toBe('vision_model.pre_layrnorm.weight');
    expect(renamed.get('pre_layrnorm.weight')).toBeUndefined();
  });
});

describe('what does not fit', () => {
  test('half of a bias', () => {
    const half = sourceOf(['visual_encoder.blocks.7.attn.v_bias']);
    expect(() => withHubNames(half)).toThrow(CheckpointError);
    expect(() => withHubNames(half)).toThrowErrorMatchingInlineSnapshot(
      `[CheckpointError: a.safetensors: has 'visual_encoder.blocks.7.attn.v_bias' but not 'visual_encoder.blocks.7.attn.q_bias', which belongs to it. The file is incomplete; fetch it again.]`,
    );
  });

  test('two layouts in one file', () => {
    const both = sourceOf(['ln_vision.weight', 'vision_model.post_layernorm.weight']);
    expect(() => withHubNames(both)).toThrowErrorMatchingInlineSnapshot(
      `[CheckpointError: a.safetensors: 'ln_vision.weight' and 'vision_model.post_layernorm.weight' are both 'vision_model.post_layernorm.weight'. The file mixes two models or two layouts; keep one of them.]`,
    );
  });

  test('a fused matrix whose rows are not three parts', () => {
    const odd = source({ 'visual_encoder.transformer.resblocks.0.attn.in_proj_weight': [4, 2] });
    expect(() => withHubNames(odd)).toThrowErrorMatchingInlineSnapshot(
      `[CheckpointError: visual_encoder.transformer.resblocks.0.attn.in_proj_weight: 'visual_encoder.transformer.resblocks.0.attn.in_proj_weight' is [4, 2], expected a multiple of three rows: queries, keys, values. Check that it comes from the model that its name says.]`,
    );
  });

  test('a key bias cannot go back to the original layout, and reading says so', async () => {
    const hub = source({ 'vision_model.encoder.layers.0.self_attn.qkv.bias': [6] });
    const lavis = withLavisNames(hub);
    expect(lavis.names).toEqual(['visual_encoder.blocks.0.attn.q_bias', 'visual_encoder.blocks.0.attn.v_bias']);
    next = 0;
    const fresh = withLavisNames(source({ 'vision_model.encoder.layers.0.self_attn.qkv.bias': [6] }));
    await expect(fresh.get('visual_encoder.blocks.0.attn.q_bias')!.read()).rejects.toThrowErrorMatchingInlineSnapshot(
      `[CheckpointError: vision_model.encoder.layers.0.self_attn.qkv.bias: 'vision_model.encoder.layers.0.self_attn.qkv.bias' has a key bias (3 at 0), but the original layout has no place for one. Keep this model in the Hub's layout.]`,
    );
  });

  test('a language projection alone does not say whose it is', () => {
    const bridge = sourceOf(['language_projection.weight', 'query_tokens']);
    expect(() => withLavisNames(bridge)).toThrow(ConfigError);
    expect(() => withLavisNames(bridge)).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: withLavisNames: a.safetensors has a language projection but no language model, and the original name depends on its family. Pass { languageModel: 'opt' } or { languageModel: 't5' }.]`,
    );
    expect(withLavisNames(bridge, { languageModel: 't5' }).names).toEqual(['t5_proj.weight', 'query_tokens']);
  });

  test('parts whose rows differ cannot be joined', () => {
    const parts = [zeroWeight('a', 'F32', [1, 2]), zeroWeight('b', 'F32', [1, 3])];
    expect(() => concatenatedWeight('ab', parts)).toThrowErrorMatchingInlineSnapshot(
      `[CheckpointError: ab: 'a' [1, 2], 'b' [1, 3] cannot be joined into 'ab': rows differ in shape. Check that they come from one model.]`,
    );
  });
});

test('any rows of a concatenation are the rows of its values', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 4 }),
      fc.nat(),
      fc.nat(),
      async (heights, a, b) => {
        const weights = Object.values(heights).map((height, index) => source({ [`${index}`]: [height, 2] }).get(`${index}`)!);
        const whole = concatenatedWeight('whole', weights);
        const rows = whole.shape[0]!;
        const [begin, end] = [a % (rows + 1), b % (rows + 1)].toSorted((x, y) => x - y) as [number, number];
        const part = whole.rows(begin, end);
        expect(part.shape).toEqual([end - begin, 2]);
        expect(await part.read()).toEqual((await whole.read()).slice(2 * begin, 2 * end));
      },
    ),
  );
});
