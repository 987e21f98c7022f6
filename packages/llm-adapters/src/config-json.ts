import { ACTIVATION_NAMES, type ActivationName, ConfigError } from '@blip2/core';
import { z } from 'zod';

/** A positive whole number: a width, a count. */
export const size: z.ZodNumber = z.number().int().positive();

/** A token id. */
export const tokenId: z.ZodNumber = z.number().int().nonnegative();

/** One end token or several, as the reference's configurations write them. */
export const tokenIds: z.ZodType<readonly number[], number | readonly number[]> = z
  .union([tokenId, z.array(tokenId).min(1)])
  .transform((ids) => (typeof ids === 'number' ? [ids] : ids));

/** An activation function that core knows. */
export const activationName: z.ZodType<ActivationName, string> = z.enum(
  ACTIVATION_NAMES as [ActivationName, ...ActivationName[]],
);

/**
 * Checks a JSON configuration against a schema.
 *
 * @param family - `OPT`, `T5`: for messages.
 * @param modelType - What `model_type` must be, if it is there.
 * @throws {ConfigError} naming every field that does not fit.
 */
export function parseConfig<Output>(schema: z.ZodType<Output>, json: unknown, family: string, modelType: string): Output {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ConfigError(`${family} configuration: got ${describe(json)}, expected an object. Pass the parsed config.json.`);
  }
  const found: unknown = (json as Record<string, unknown>)['model_type'];
  if (found !== undefined && found !== modelType) {
    throw new ConfigError(
      `${family} configuration: model_type is ${JSON.stringify(found)}, expected "${modelType}". ` +
        `Load this checkpoint with the package that knows such models, or pass the right config.json.`,
    );
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new ConfigError(`${family} configuration: ${problems.join('; ')}. Correct these fields of config.json.`);
}

/**
 * Checks that heads divide a width.
 * @throws {ConfigError} naming both numbers.
 */
export function assertDivisible(width: number, heads: number, family: string): void {
  if (width % heads === 0) return;
  throw new ConfigError(
    `${family} configuration: hidden_size ${width} cannot be split into ${heads} heads of equal width. Correct one of the two.`,
  );
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}
