import { ConfigError, renamedWeight, type WeightSource } from '@blip2/core';
import { NAME_RULES, type Family } from './name-rules.ts';
import { directRules, hasRule, translateNames } from './translate-names.ts';

/** Beginnings that only original (LAVIS) files have. */
const LAVIS_PREFIXES = ['Qformer.', 'visual_encoder.', 'ln_vision.', 'opt_proj.', 't5_proj.', 'opt_model.', 't5_model.'];

/** Beginnings of a vision model's names in the Hub's files, after `vision_model.`. */
const VISION_NAME = /^(?:embeddings|encoder|pre_layrnorm|post_layernorm)\./;

/** Last blocks of the separately published encoders, which BLIP-2 leaves out, and CLIP's projection to its text space. */
const UNUSED_IN_ENCODER_FILES = /^(?:blocks\.39|transformer\.resblocks\.23|ln_post)\.|^proj$/;

const TO_HUB = directRules(NAME_RULES, 'to hub');

/**
 * A source under the names that the Hub's files use, whatever names it has: of original (LAVIS) checkpoints, of the separately published
 * encoders (`eva_vit_g`, `clip_vit_L`, without a prefix), or of a CLIP vision model saved without `vision_model.`.
 * A source that has none of these is returned as it is.
 *
 * Nothing is read or copied: fused matrices become separate weights by byte range; EVA's missing key bias is put in as zeros.
 *
 * @throws {CheckpointError} when a weight lacks its other half, or two weights would get the same name.
 *
 * @example
 * const source = withHubNames(await openSafetensorsFile('blip2_pretrained.safetensors'));
 * source.get('qformer.layernorm.weight'); // was Qformer.bert.embeddings.LayerNorm.weight
 *
 * Source: transformers, `convert_blip_2_original_to_pytorch.py`.
 */
export function withHubNames(source: WeightSource): WeightSource {
  if (source.names.includes('embeddings.class_embedding')) {
    return rename(source, (name) => (VISION_NAME.test(name) ? `vision_model.${name}` : name));
  }
  const original = isEncoderFile(source) ? rename(source, encoderNameInLavis) : source;
  if (!original.names.some((name) => LAVIS_PREFIXES.some((prefix) => name.startsWith(prefix)))) return original;
  return translateNames(original, TO_HUB, (name) => name.endsWith('.position_ids'));
}

/**
 * A source with Hub names under the names of original (LAVIS) files: the inverse of {@link withHubNames}.
 *
 * @param options.languageModel - Which names the language projection gets. Needed only where the source has no language model.
 * @throws {ConfigError} when that is needed and missing.
 * Reading a query bias rejects with a `CheckpointError` when the key bias beside it is not zero, because LAVIS has no place for it.
 */
export function withLavisNames(source: WeightSource, options: { readonly languageModel?: 'opt' | 't5' } = {}): WeightSource {
  const families = new Set<Family | undefined>([
    undefined,
    visionFamily(source),
    options.languageModel ?? languageFamily(source),
  ]);
  const rules = NAME_RULES.filter((rule) => families.has(rule.family));
  return translateNames(source, directRules(rules, 'to lavis'), (name) => name.endsWith('.position_ids'));
}

function isEncoderFile({ names }: WeightSource): boolean {
  const has = (name: string, prefix: string): boolean => names.includes(name) && names.some((other) => other.startsWith(prefix));
  return has('cls_token', 'blocks.') || has('class_embedding', 'transformer.resblocks.');
}

/** The name inside a LAVIS checkpoint; `undefined` for what BLIP-2 does not use. */
function encoderNameInLavis(name: string): string | undefined {
  if (UNUSED_IN_ENCODER_FILES.test(name)) return undefined;
  return hasRule(TO_HUB, `visual_encoder.${name}`) ? `visual_encoder.${name}` : undefined;
}

/** A source under names of a function; `undefined` leaves a weight out. */
function rename(source: WeightSource, newName: (name: string) => string | undefined): WeightSource {
  const originals = new Map<string, string>();
  for (const name of source.names) {
    const renamed = newName(name);
    if (renamed !== undefined) originals.set(renamed, name);
  }
  return {
    name: source.name,
    names: [...originals.keys()],
    get(name) {
      const weight = source.get(originals.get(name) ?? '');
      return weight === undefined ? undefined : renamedWeight(weight, name);
    },
  };
}

function visionFamily({ names }: WeightSource): Family {
  return names.some((name) => /^vision_model\..*\.self_attn\.q_proj\./.test(name)) ? 'clip' : 'eva';
}

function languageFamily({ name, names }: WeightSource): Family | undefined {
  if (names.some((key) => key.startsWith('language_model.model.'))) return 'opt';
  if (names.some((key) => key.startsWith('language_model.'))) return 't5';
  if (!names.some((key) => key.startsWith('language_projection.'))) return undefined;
  throw new ConfigError(
    `withLavisNames: ${name} has a language projection but no language model, and the original name depends on its family. ` +
      `Pass { languageModel: 'opt' } or { languageModel: 't5' }.`,
  );
}
