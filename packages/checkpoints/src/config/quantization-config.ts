import { ConfigError } from '@blip2/core';
import * as z from 'zod/mini';
import { count, fieldOf, validate, withDefault, type Schema } from './validate.ts';

/** `quantization_config` of a model that blip2.js quantised. */
export interface QuantizationConfigJson {
  readonly quant_method: 'blip2js';
  readonly bits: 8 | 4;
  /** Columns that share a scale; matrices with shorter rows have smaller blocks. */
  readonly block_size: number;
  /** What stays in full precision: names, with `*` for any characters. */
  readonly kept: readonly string[];
}

const quantizationSchema: Schema<QuantizationConfigJson> = z.looseObject({
  quant_method: z.literal('blip2js'),
  bits: z.union([z.literal(8), z.literal(4)], 'expected 8 or 4'),
  block_size: count,
  kept: withDefault(z.array(z.string()), []),
});

/**
 * Reads the `quantization_config` of any model's `config.json`.
 *
 * @param json - The parsed `config.json`.
 * @returns `undefined` for a model that is not quantised.
 * @throws {ConfigError} for one that another library quantised, whose weights have another format, or one that is broken.
 */
export function parseQuantizationConfig(json: unknown, fileName = 'config.json'): QuantizationConfigJson | undefined {
  const config = fieldOf(json, 'quantization_config');
  if (config === undefined || config === null) return undefined;
  const method = fieldOf(config, 'quant_method');
  if (typeof method === 'string' && method !== 'blip2js') {
    throw new ConfigError(
      `${fileName}: the weights were quantised by '${method.slice(0, 40)}', expected 'blip2js' or weights that are not quantised. ` +
        `Take the original model, and quantise it with blip2 convert.`,
    );
  }
  return validate(quantizationSchema, config, `${fileName}, quantization_config`);
}
