import { ConfigError } from './errors.ts';
import { ACTIVATION_NAMES, type ActivationName } from './layers/activations.ts';
import * as z from 'zod/mini';

/**
 * What the packages of models need to read a `config.json`: schemas of common fields, and messages that name the field,
 * what it holds and what was expected. An entry of its own, because it brings zod.
 */

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
 * Checks the fields of a JSON object.
 *
 * @param where - For messages: `vision config`.
 * @throws {ConfigError} naming every field that does not fit, what it holds and what was expected.
 */
export function parseFields<Fields>(schema: Schema<Fields>, json: JsonObject, where: string): Fields {
  const result = z.safeParse(schema, json);
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    ({ path: [name], message }) => `${String(name)} is ${JSON.stringify(json[String(name)])}, ${message}`,
  );
  throw new ConfigError(`${where}: ${problems.join('; ')}. Correct config.json, or download it again.`, { cause: result.error });
}

/** A JSON object, its fields unchecked. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * A JSON value as an object.
 * @throws {ConfigError} when it is something else.
 */
export function asObject(json: unknown, where: string): JsonObject {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as JsonObject;
  const found = json === null ? 'null' : Array.isArray(json) ? 'an array' : `a ${typeof json}`;
  throw new ConfigError(`${where} is ${found}, expected an object. Pass the parsed config.json of a model.`);
}
