import { ACTIVATION_NAMES, type ActivationName, ConfigError } from '@blip2/core';
import * as z from 'zod/mini';

/** A schema that gives values of one type, whatever it takes. */
export type Schema<Value> = z.ZodMiniType<Value, unknown>;

/** A width or a count. */
export const size: Schema<number> = z.int('expected a whole number').check(z.gte(1, 'expected at least 1'));

/** A token id. */
export const tokenId: Schema<number> = z.int('expected a token id').check(z.gte(0, 'expected a token id, 0 or more'));

/** One end token or several, as the reference's configurations write them; a list of them either way. */
export const tokenIds: Schema<readonly number[]> = z.pipe(
  z.union([tokenId, z.array(tokenId).check(z.minLength(1))], 'expected a token id or a list of them'),
  z.transform((ids) => (typeof ids === 'number' ? [ids] : ids)),
);

/** A number above zero. */
export const positive: Schema<number> = z.number('expected a number').check(z.gt(0, 'expected a positive number'));

/** Yes or no. */
export const flag: Schema<boolean> = z.boolean('expected true or false');

/** An activation function that core knows. */
export const activationName: Schema<ActivationName> = z.enum(
  ACTIVATION_NAMES as [ActivationName, ...ActivationName[]],
  `expected one of ${ACTIVATION_NAMES.join(', ')}`,
);

/** A field that may be absent or null, and then has the value that the reference implementation takes. */
export function withDefault<Value>(schema: Schema<Value>, value: Value): Schema<Value> {
  return z.pipe(
    z.nullish(schema),
    z.transform((given) => given ?? value),
  );
}

/**
 * Checks a JSON configuration against a schema.
 *
 * @param family - `OPT`, `T5`: for messages.
 * @param modelType - What `model_type` must be, if it is there.
 * @throws {ConfigError} naming every field that does not fit.
 */
export function parseConfig<Output>(schema: Schema<Output>, json: unknown, family: string, modelType: string): Output {
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
  const result = z.safeParse(schema, json);
  if (result.success) return result.data;
  const fields = json as Record<PropertyKey, unknown>;
  const problems = result.error.issues.map(
    ({ path: [name], message }) => `${String(name)} is ${JSON.stringify(fields[name!])}, ${message}`,
  );
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
