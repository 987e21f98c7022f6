import * as z from 'zod/mini';
import { DatasetError } from '../errors.ts';
import type { JsonEntry } from './json-entries.ts';

/**
 * An entry of a file, checked.
 *
 * @param name - The file's.
 * @param place - `entry 17 of 'annotations'`; see {@link placeOf}.
 * @throws {DatasetError} naming file, entry, field, what it holds and what was expected.
 */
export function checkEntry<Entry>(schema: z.ZodMiniType<Entry, unknown>, value: unknown, name: string, place: string): Entry {
  const result = z.safeParse(schema, value);
  if (result.success) return result.data;
  const { path: field, message } = result.error.issues[0]!;
  const found = field.reduce<unknown>(
    (inner, key) => (inner as Readonly<Record<PropertyKey, unknown>> | undefined)?.[key],
    value,
  );
  throw new DatasetError(
    `${name}: ${place}: ${field.length === 0 ? '' : `${field.join('.')} `}is ${shortened(found)}, ${message}. ` +
      `Check that the file is the one you mean, or correct it.`,
    name,
    { cause: result.error },
  );
}

/** Where an entry stands, for messages. */
export function placeOf({ key, index }: JsonEntry): string {
  if (index === undefined) return `'${key}'`;
  return key === undefined ? `entry ${index}` : `entry ${index} of '${key}'`;
}

/** A value for a message, cut where it is long. */
export function shortened(value: unknown): string {
  const text =
    value === undefined ? 'missing' : typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** A field that is a text. */
export const textField: z.ZodMiniType<string, unknown> = z.string('expected a text');
/** One text or a list of them; given as a list. */
export const textsField: z.ZodMiniType<readonly string[], unknown> = z.pipe(
  z.union([z.string(), z.array(z.string())], 'expected a text or a list of texts'),
  z.transform((given) => (typeof given === 'string' ? [given] : given)),
);
/** A whole number or a text that names something. */
export const idField: z.ZodMiniType<number | string, unknown> = z.union(
  [z.int(), z.string().check(z.minLength(1, 'expected an id'))],
  'expected an id',
);
