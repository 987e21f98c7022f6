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
 * Fresh weights of a T5 model under their Hugging Face names, as {@link randomOptWeights}.
 *
 * @example
 * const weights = randomT5Weights(flanT5Config('small'), { seed: 1 });
 */
export function randomT5Weights(config: T5Config, options: RandomWeightsOptions = {}): WeightSource {
  return randomWeights((reader) => describeT5Params(reader, config), options);
}
