import { ConfigError } from '@blip2/core';
import * as z from 'zod/mini';
import { safeParse } from 'zod/v4/core';
import { quote } from '../json/parse-json.ts';

/** How configurations are parsed. */
export interface ParseOptions {
  /** Called for a value that is accepted but known to be wrong in some published files. @default nothing is reported */
  readonly onWarning?: (warning: string) => void;
  /** Takes the place of `vision_config.layer_norm_eps`, which some published files have wrong. @default the file's value */
  readonly visionLayerNormEpsilon?: number;
}

/** A schema that gives values of one type, whatever it takes. */
export type Schema<Value> = z.ZodMiniType<Value, unknown>;

/** A size or a number of things: a whole number of at least one. */
export const count: Schema<number> = z.int('expected a whole number').check(z.gte(1, 'expected at least 1'));

/** A number that may be zero. */
export const wholeNumber: Schema<number> = z.int('expected a whole number').check(z.gte(0, 'expected 0 or more'));

/** A token id. */
export const tokenId: Schema<number> = z.int('expected a token id').check(z.gte(0, 'expected a token id, 0 or more'));

/** One end token or several. */
export const endTokenIds: Schema<number | number[]> = z.union(
  [tokenId, z.array(tokenId).check(z.minLength(1))],
  'expected a token id or a list of them',
);

/** A probability, such as of dropout. */
export const probability: Schema<number> = z.number().check(z.gte(0, 'expected 0 to 1'), z.lte(1, 'expected 0 to 1'));

/** A number above zero, such as what keeps a division finite. */
export const positive: Schema<number> = z.number().check(z.gt(0, 'expected a positive number'));

/** A field that may be absent or null, and then has the value that the reference implementation takes. */
export function withDefault<Value>(schema: Schema<Value>, value: Value): Schema<Value> {
  return z.pipe(
    z.nullish(schema),
    z.transform((given) => given ?? value),
  );
}

/** A schema with a last step that completes what it gave. */
export function completed<Given, Value>(schema: z.ZodMiniType<Given, unknown>, complete: (given: Given) => Value): Schema<Value> {
  return z.pipe(schema, z.transform(complete));
}

/**
 * Checks a JSON value against a schema.
 *
 * @param fileName - For messages.
 * @throws {ConfigError} naming up to five fields, what they hold and what was expected.
 */
export function validate<Value>(schema: z.core.$ZodType<Value>, json: unknown, fileName: string): Value {
  const result = safeParse(schema, json);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => {
    const path = issue.path.map(String);
    return `${path.length === 0 ? 'the file' : path.join('.')} is ${describe(valueAt(json, issue.path))}, ${expectation(issue)}`;
  });
  const more = issues.length > 5 ? ` and ${issues.length - 5} more problems` : '';
  throw new ConfigError(
    `${fileName}: ${issues.slice(0, 5).join('; ')}${more}. Correct the file, or fetch it again from where the model was published.`,
  );
}

/** What a schema wanted, in words, whether or not the schema's library brought words of its own. */
function expectation(issue: z.core.$ZodIssue): string {
  if (issue.message !== 'Invalid input') return issue.message.replace(/^Invalid input: /, '').replace(/, received .*$/, '');
  if (issue.code === 'invalid_type') return `expected ${issue.expected}`;
  return issue.code === 'invalid_value'
    ? `expected ${issue.values.map((value) => quote(String(value))).join(' or ')}`
    : 'expected another value';
}

/**
 * Refuses heads that do not divide the width they share.
 * @param widthKey - The field with the width.
 */
export function headsDivide(widthKey: string): (payload: z.core.ParsePayload<Record<string, unknown>>) => void {
  return ({ value, issues }) => {
    const width = value[widthKey] as number;
    const heads = value['num_attention_heads'] as number;
    if (heads < 1 || width % heads === 0) return; // fewer than one is reported already
    const message = `expected a divisor of ${widthKey}, ${width}`;
    issues.push({ code: 'custom', path: ['num_attention_heads'], message, input: value });
  };
}

/** A property of a JSON object; `undefined` for anything that has none. */
export function fieldOf(json: unknown, key: string): unknown {
  return typeof json === 'object' && json !== null && Object.hasOwn(json, key)
    ? (json as Record<string, unknown>)[key]
    : undefined;
}

function valueAt(json: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => fieldOf(value, String(key)), json);
}

function describe(value: unknown): string {
  if (value === undefined) return 'missing';
  return typeof value === 'string' ? quote(value) : quote(JSON.stringify(value)).slice(1, -1);
}
