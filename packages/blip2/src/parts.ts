import type { Weight, WeightSource } from '@blip2/core';
import { listSome, sizeOf, WeightsError } from '@blip2/core';

/** The parts of a checkpoint, in the order in which an image meets them. */
export const PARTS = [
  'vision encoder',
  'query tokens',
  'Q-Former',
  'text embeddings',
  'heads',
  'language projection',
  'language model',
] as const;

export type Part = (typeof PARTS)[number];

/** Which names belong to which part; the first pattern that matches counts. One place, for loading, progress and inspection. */
const PART_PATTERNS: readonly (readonly [RegExp, Part])[] = [
  [/^vision_model\./, 'vision encoder'],
  [/^query_tokens$/, 'query tokens'],
  [/^qformer\./, 'Q-Former'],
  [/^embeddings\./, 'text embeddings'],
  [/^(vision_projection|text_projection|itm_head|cls\.predictions)\.|^temp$/, 'heads'],
  [/^language_projection\./, 'language projection'],
  [/^language_model\./, 'language model'],
];

/** The part a weight belongs to, or `undefined` for a name that BLIP-2 does not have. */
export function partOf(name: string): Part | undefined {
  return PART_PATTERNS.find(([pattern]) => pattern.test(name))?.[1];
}

/**
 * Refuses a checkpoint with weights that no part of BLIP-2 has.
 * @throws {WeightsError} naming up to five.
 */
export function assertKnownWeights(source: WeightSource): void {
  const unexpected = source.names.filter((name) => partOf(name) === undefined);
  if (unexpected.length === 0) return;
  throw new WeightsError(
    `${source.name}: ${unexpected.length} weights are not part of a BLIP-2 model: ${listSome(unexpected)}. ` +
      `Check that the folder holds one model only, in the Hugging Face or the original (LAVIS) layout.`,
    { unexpected },
  );
}

/** Bytes that a weight takes in the checkpoint. */
export function storedBytes(weight: Weight): number {
  if (weight.quantized !== undefined) return storedBytes(weight.quantized.codes) + storedBytes(weight.quantized.scales);
  return weight.location?.byteLength ?? 4 * sizeOf(weight.shape);
}
