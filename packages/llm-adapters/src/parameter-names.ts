import {
  type Described,
  describeLayerNorm,
  type LayerNormParams,
  type RmsNormParams,
  type Weight,
  weightFromValues,
  type WeightReader,
  type WeightSource,
} from '@blip2/core';

/** Describes a layer norm; one without parameters of its own gets ones and zeros. */
export function describeMaybeAffineNorm(
  reader: WeightReader,
  name: string,
  width: number,
  affine: boolean,
): Described<LayerNormParams> {
  if (affine) return describeLayerNorm(reader, name, width);
  return {
    weight: weightFromValues(`${name}.weight`, [width], new Float32Array(width).fill(1)),
    bias: weightFromValues(`${name}.bias`, [width], new Float32Array(width)),
  };
}

/** Describes a root-mean-square norm: `name.weight`, `[width]`. */
export function describeRmsNorm(reader: WeightReader, name: string, width: number): Described<RmsNormParams> {
  return { weight: reader.take(`${name}.weight`, [width]) };
}

/** Rows that are read at once when two matrices are compared. */
const COMPARED_ROWS = 4096;

/** Whether two matrices hold the same numbers; reads a few thousand rows at a time. */
export async function sameValues(a: Weight, b: Weight, abortSignal?: AbortSignal): Promise<boolean> {
  if (a === b) return true;
  if (a.shape.join() !== b.shape.join()) return false;
  const rows = a.shape[0]!;
  for (let begin = 0; begin < rows; begin += COMPARED_ROWS) {
    const end = Math.min(rows, begin + COMPARED_ROWS);
    const [left, right] = await Promise.all([a.rows(begin, end).read({ abortSignal }), b.rows(begin, end).read({ abortSignal })]);
    if (left.some((value, index) => value !== right[index])) return false;
  }
  return true;
}

/** The first of the prefixes under which the checkpoint has `name`, or the first of all, so that errors name it. */
export function findPrefix(reader: WeightReader, prefixes: readonly string[], names: readonly string[]): string {
  return prefixes.find((prefix) => names.some((name) => reader.has(prefix + name))) ?? prefixes[0]!;
}

/** Which names a language model must account for: inside BLIP-2 all under `language_model.`, alone all there are. */
export function ownedNames(weights: WeightSource): (name: string) => boolean {
  const inside = weights.names.some((name) => name.startsWith('language_model.'));
  return (name) => !isIgnored(name) && (!inside || name.startsWith('language_model.'));
}

/** Buffers that some library versions stored, and that nothing reads. */
function isIgnored(name: string): boolean {
  return name.endsWith('.position_ids') || name.endsWith('.EncDecAttention.relative_attention_bias.weight');
}
