import type { Described } from '../parameters.ts';
import type { WeightReader } from '../weights.ts';
import type { LinearParams } from './linear.ts';
import type { LayerNormParams } from './norm.ts';

/**
 * Describes a linear layer: `name.weight`, `[out, in]`, and `name.bias`, `[out]`.
 *
 * @param reader - Keeps problems for its `finish`.
 * @param options.bias - Whether the layer has one. @default true
 */
export function describeLinear(
  reader: WeightReader,
  name: string,
  [inputs, outputs]: readonly [inputs: number, outputs: number],
  { bias = true }: { readonly bias?: boolean } = {},
): Described<LinearParams> {
  const weight = reader.take(`${name}.weight`, [outputs, inputs]);
  return bias ? { weight, bias: reader.take(`${name}.bias`, [outputs]) } : { weight };
}

/** Describes a layer norm: `name.weight` and `name.bias`, `[width]`. */
export function describeLayerNorm(reader: WeightReader, name: string, width: number): Described<LayerNormParams> {
  return { weight: reader.take(`${name}.weight`, [width]), bias: reader.take(`${name}.bias`, [width]) };
}
