import { ConfigError, listSome } from '@blip2/core';
import type { Schema } from '@blip2/core/config';
import * as z from 'zod/mini';
import { nearestName } from './nearest-name.ts';

/** An object of these fields and no others; a name nobody knows is answered with the nearest that is known. */
export function strictFields<Fields extends Readonly<Record<string, Schema<unknown>>>>(
  fields: Fields,
): z.ZodMiniType<{ readonly [Name in keyof Fields]: z.output<Fields[Name]> }, unknown> {
  const known = Object.keys(fields);
  return z.strictObject(fields, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? describeUnknown(issue.keys, known) : 'expected an object'),
  }) as never;
}

function describeUnknown(names: readonly string[], known: readonly string[]): string {
  return names
    .map((name) => {
      const near = nearestName(name, known);
      return `'${name}' is not known; ${near === undefined ? `expected one of ${known.join(', ')}` : `the nearest name is '${near}'`}`;
    })
    .join('; ');
}

/**
 * Checks a value of a file or a program.
 *
 * @param where - The file, for messages.
 * @throws {ConfigError} naming file, field, what it holds and what was expected, for up to five fields.
 */
export function checkFields<Fields>(schema: Schema<Fields>, given: unknown, where: string): Fields {
  const result = z.safeParse(schema, given, { reportInput: true });
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ code, path, message, input }) => {
    const name = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
    const field = name.replace(/^\./, '');
    if (code === 'unrecognized_keys') return field === '' ? message : `${field}: ${message}`;
    return `${field === '' ? 'the whole' : field} is ${shown(input)}, ${message}`;
  });
  throw new ConfigError(`${where}: ${listSome(problems, '; ')}. Correct the recipe.`, { cause: result.error });
}

function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
