import { ACTIVATION_NAMES, type ActivationName, ConfigError } from '@blip2/core';
import * as z from 'zod/mini';

/** A schema that gives values of one type, whatever it takes. */
export type Schema<Value> = z.ZodMiniType<Value, unknown>;

/** A width or a count. */
export const size: Schema<number> = z.int('expected a whole number').check(z.gte(1, 'expected at least 1'));

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
