import { randomWeights, type RandomWeightsOptions, type WeightSource } from '@blip2/core';
import type { OptConfig } from './opt-config.ts';
import { describeOptParams } from './opt-weights.ts';
import type { T5Config } from './t5-config.ts';
import { describeT5Params } from './t5-weights.ts';

/**
 * Fresh weights of an OPT model under their Hugging Face names, with a tied head. Such a model writes nonsense; it is
 * for tests, demonstrations and training from scratch.
 *
 * @example
 * const weights = randomOptWeights(optConfig('125m', { layers: 2 }), { seed: 1 });
 */
export function randomOptWeights(config: OptConfig, options: RandomWeightsOptions = {}): WeightSource {
  return randomWeights((reader) => describeOptParams(reader, config), options);
}

/**
 * Fresh weights of a T5 model under their Hugging Face names, as {@link randomOptWeights}; spread as those of T5, which
 * has no scale in its attention and normalises without a mean: with one spread for all it learns far more slowly.
 * Source: `T5PreTrainedModel._init_weights` of Transformers, after Mesh TensorFlow.
 *
 * @example
 * const weights = randomT5Weights(flanT5Config('small'), { seed: 1 });
 */
export function randomT5Weights(config: T5Config, options: RandomWeightsOptions = {}): WeightSource {
  const standardDeviation = (name: string): number => t5StandardDeviation(name, config);
  return randomWeights((reader) => describeT5Params(reader, config), { standardDeviation, ...options });
}

/** How far the drawn weights of one tensor of a T5 model spread, by its name. */
export function t5StandardDeviation(name: string, { width, heads, headWidth, feedForwardWidth }: T5Config): number {
  const layer = name.split('.').at(-2)!;
  switch (layer) {
    case 'q':
      return (width * headWidth) ** -0.5; // attention divides by no root
    case 'o':
      return (heads * headWidth) ** -0.5;
    case 'wo':
      return feedForwardWidth ** -0.5;
    case 'shared':
    case 'embed_tokens':
    case 'lm_head':
      return 1;
    default:
      return width ** -0.5;
  }
}
