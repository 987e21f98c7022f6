import { CheckpointError, renamedWeight, type Weight } from '@blip2/core';
import { concatenatedWeight, zeroWeight } from './derived-weights.ts';

/** Parts whose LAVIS names differ by kind where the Hub's names do not. */
export type Family = 'eva' | 'clip' | 'opt' | 't5';

/** One line of the table of names. `{i}` stands for a number, `{rest}` for the rest of a name. */
export interface NameRule {
  /** Name or names in the original files. */
  readonly lavis: readonly string[];
  /** Name or names in the files of the Hub. */
  readonly hub: readonly string[];
  /** How the weights of one side make those of the other. @default they are the same weight */
  readonly relation?: Relation;
  /** Models without this part do not have the rule. */
  readonly family?: Family;
}

/** Weights of one side as weights of the other, in the order of the rule. */
export interface Relation {
  toHub(weights: readonly Weight[], names: readonly string[]): Weight[];
  toLavis(weights: readonly Weight[], names: readonly string[]): Weight[];
}

/** EVA keeps no bias for keys; the Hub stores zeros in its place. */
const QUERY_AND_VALUE_BIAS: Relation = {
  toHub([query, value], [name]) {
    const key = zeroWeight(name!, query!.dtype, query!.shape);
    return [concatenatedWeight(name!, [query!, key, value!])]; // [3 · width]
  },
  toLavis([fused], [queryName, valueName]) {
    const [query, key, value] = thirdsOf(fused!);
    const checked = { ...renamedWeight(query, queryName!), read: readIfZero(query, key) };
    return [checked, renamedWeight(value, valueName!)];
  },
};

/** Queries, keys and values fused into one matrix there, three matrices here. */
const FUSED_ROWS: Relation = {
  toHub: ([fused], names) => thirdsOf(fused!).map((third, index) => renamedWeight(third, names[index]!)),
  toLavis: (weights, [name]) => [concatenatedWeight(name!, weights)],
};

/**
 * All names of the original files that differ from the Hub's. The first line that fits counts; a name without one
 * is the same on both sides (`query_tokens`, `itm_head.*`, `temp`).
 *
 * Source: transformers, `convert_blip_2_original_to_pytorch.py`; LAVIS, `eva_vit.py`, `clip_vit.py`, `blip2_qformer.py`.
 */
export const NAME_RULES: readonly NameRule[] = [
  ...rules('eva', 'visual_encoder.', 'vision_model.', [
    ['cls_token', 'embeddings.class_embedding'],
    ['pos_embed', 'embeddings.position_embedding'],
    ['patch_embed.proj.{rest}', 'embeddings.patch_embedding.{rest}'],
  ]),
  ...rules('eva', 'visual_encoder.blocks.{i}.', 'vision_model.encoder.layers.{i}.', [
    ['norm1.{rest}', 'layer_norm1.{rest}'],
    ['norm2.{rest}', 'layer_norm2.{rest}'],
    ['attn.qkv.weight', 'self_attn.qkv.weight'],
    [['attn.q_bias', 'attn.v_bias'], 'self_attn.qkv.bias', QUERY_AND_VALUE_BIAS],
    ['attn.proj.{rest}', 'self_attn.projection.{rest}'],
    ['mlp.{rest}', 'mlp.{rest}'],
  ]),
  ...rules('clip', 'visual_encoder.', 'vision_model.', [
    ['class_embedding', 'embeddings.class_embedding'],
    ['positional_embedding', 'embeddings.position_embedding.weight'],
    ['conv1.{rest}', 'embeddings.patch_embedding.{rest}'],
    ['ln_pre.{rest}', 'pre_layrnorm.{rest}'], // spelt so in the Hub's files
  ]),
  ...rules('clip', 'visual_encoder.transformer.resblocks.{i}.', 'vision_model.encoder.layers.{i}.', [
    ['ln_1.{rest}', 'layer_norm1.{rest}'],
    ['ln_2.{rest}', 'layer_norm2.{rest}'],
    ['attn.in_proj_weight', ['self_attn.q_proj.weight', 'self_attn.k_proj.weight', 'self_attn.v_proj.weight'], FUSED_ROWS],
    ['attn.in_proj_bias', ['self_attn.q_proj.bias', 'self_attn.k_proj.bias', 'self_attn.v_proj.bias'], FUSED_ROWS],
    ['attn.out_proj.{rest}', 'self_attn.out_proj.{rest}'],
    ['mlp.c_fc.{rest}', 'mlp.fc1.{rest}'],
    ['mlp.c_proj.{rest}', 'mlp.fc2.{rest}'],
  ]),
  ...rules(undefined, '', '', [
    ['ln_vision.{rest}', 'vision_model.post_layernorm.{rest}'],
    ['vision_proj.{rest}', 'vision_projection.{rest}'],
    ['text_proj.{rest}', 'text_projection.{rest}'],
  ]),
  ...rules(undefined, 'Qformer.', '', [
    ['bert.embeddings.LayerNorm.{rest}', 'qformer.layernorm.{rest}'],
    ['bert.embeddings.{rest}', 'embeddings.{rest}'],
    ['bert.encoder.layer.{i}.attention.self.{rest}', 'qformer.encoder.layer.{i}.attention.attention.{rest}'],
    ['bert.encoder.layer.{i}.crossattention.self.{rest}', 'qformer.encoder.layer.{i}.crossattention.attention.{rest}'],
    ['bert.encoder.layer.{i}.{rest}', 'qformer.encoder.layer.{i}.{rest}'],
    ['cls.{rest}', 'cls.{rest}'],
  ]),
  ...rules('opt', 'opt_', 'language_', [
    ['proj.{rest}', 'projection.{rest}'],
    ['model.{rest}', 'model.{rest}'],
  ]),
  ...rules('t5', 't5_', 'language_', [
    ['proj.{rest}', 'projection.{rest}'],
    ['model.{rest}', 'model.{rest}'],
  ]),
];

type Row = readonly [lavis: string | readonly string[], hub: string | readonly string[], relation?: Relation];

/** Lines that share a family and the beginnings of their names. */
function rules(family: Family | undefined, lavisPrefix: string, hubPrefix: string, rows: readonly Row[]): NameRule[] {
  return rows.map(([lavis, hub, relation]) => ({
    lavis: prefixed(lavisPrefix, lavis),
    hub: prefixed(hubPrefix, hub),
    relation,
    family,
  }));
}

function prefixed(prefix: string, names: string | readonly string[]): string[] {
  return [names].flat().map((name) => `${prefix}${name}`);
}

function thirdsOf(weight: Weight): [Weight, Weight, Weight] {
  const rows = weight.shape[0] ?? 0;
  if (rows % 3 !== 0 || weight.shape.length === 0) {
    const file = weight.location?.file ?? weight.name;
    const message = `${file}: '${weight.name}' is [${weight.shape.join(', ')}], expected a multiple of three rows: queries, keys, values.`;
    throw new CheckpointError(`${message} Check that it comes from the model that its name says.`, file);
  }
  const third = rows / 3;
  return [weight.rows(0, third), weight.rows(third, 2 * third), weight.rows(2 * third, rows)];
}

/** Reads `weight`, after making sure that nothing is lost by leaving out `key`. */
function readIfZero(weight: Weight, key: Weight): Weight['read'] {
  return async (options) => {
    const keyBias = await key.read(options);
    const nonzero = keyBias.findIndex((value) => value !== 0);
    if (nonzero < 0) return weight.read(options);
    const file = key.location?.file ?? key.name;
    throw new CheckpointError(
      `${file}: '${key.name}' has a key bias (${keyBias[nonzero]} at ${nonzero}), but the original layout has no place for one. ` +
        `Keep this model in the Hub's layout.`,
      file,
    );
  };
}
