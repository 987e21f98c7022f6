import { ConfigError } from '@blip2/core';
import { z } from 'zod';
import { quote } from '../json/parse-json.ts';

/** How configurations are parsed. */
export interface ParseOptions {
  /** Called for a value that is accepted but known to be wrong in some published files. @default nothing is reported */
  readonly onWarning?: (warning: string) => void;
  /** Takes the place of `vision_config.layer_norm_eps`, which some published files have wrong. @default the file's value */
  readonly visionLayerNormEpsilon?: number;
}

/** A size or a number of things: a whole number of at least one. */
export const count: z.ZodType<number> = z.int('expected a whole number').min(1, 'expected at least 1');

/** A token id. */
export const tokenId: z.ZodType<number> = z.int('expected a token id').min(0, 'expected a token id, 0 or more');

/** One end token or several. */
export const endTokenIds: z.ZodType<number | number[]> = z.union(
  [tokenId, z.array(tokenId).min(1)],
  'expected a token id or a list of them',
);

/** A probability, such as of dropout. */
export const probability: z.ZodType<number> = z.number().min(0, 'expected 0 to 1').max(1, 'expected 0 to 1');

/** A small positive number that keeps a division finite. */
export const epsilon: z.ZodType<number> = z.number().positive('expected a positive number');

/** A field that may be absent or null, and then has the value that the reference implementation takes. */
export function withDefault<Value>(schema: z.ZodType<Value>, value: Value): z.ZodType<Value, Value | null | undefined> {
  return schema.nullish().transform((given) => given ?? value) as z.ZodType<Value, Value | null | undefined>;
}

/**
 * Checks a JSON value against a schema.
 *
 * @param fileName - For messages.
 * @throws {ConfigError} naming up to five fields, what they hold and what was expected.
 */
export function validate<Value>(schema: z.ZodType<Value>, json: unknown, fileName: string): Value {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => {
    const path = issue.path.map(String);
    const expected = issue.message.replace(/^Invalid input: /, '').replace(/, received .*$/, '');
    return `${path.length === 0 ? 'the file' : path.join('.')} is ${describe(valueAt(json, issue.path))}, ${expected}`;
  });
  const more = issues.length > 5 ? ` and ${issues.length - 5} more problems` : '';
  throw new ConfigError(
    `${fileName}: ${issues.slice(0, 5).join('; ')}${more}. Correct the file, or fetch it again from where the model was published.`,
  );
}

/**
 * Refuses heads that do not divide the width they share.
 * @param widthKey - The field with the width.
 */
export function headsDivide(widthKey: string): (config: Record<string, unknown>, context: z.RefinementCtx) => void {
  return (config, context) => {
    const width = config[widthKey] as number;
    const heads = config['num_attention_heads'] as number;
    if (heads < 1 || width % heads === 0) return; // fewer than one is reported already
    context.addIssue({ code: 'custom', path: ['num_attention_heads'], message: `expected a divisor of ${widthKey}, ${width}` });
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
