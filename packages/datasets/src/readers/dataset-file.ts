import { createReadStream } from 'node:fs';
import { DatasetError } from '@blip2/core';
import * as z from 'zod/mini';
import type { ReadOptions } from '../records/record.ts';
import { type JsonEntry, JsonEntryScanner, JsonProblem } from './json-entries.ts';

/** Read at a time. */
const PIECE_BYTES = 2 ** 20;

const CURES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file. Check the path.',
  ENOTDIR: 'a part of the path is a file, not a folder. Check the path.',
  EISDIR: 'it is a folder. Pass the path of a file.',
  EACCES: 'permission was refused. Check the owner and the mode of the file and its folder.',
  EPERM: 'permission was refused. Check the owner and the mode of the file and its folder.',
  EMFILE: 'too many files are open. Close what is not needed.',
};

/** A system error as one of ours, with the cause kept; ours and aborts stay what they are. */
export function fileProblem(path: string, cause: unknown): unknown {
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
  if (typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return cause;
  const cure = CURES[code] ?? `${(cause as Error).message}. Check the disk, then try again.`;
  return new DatasetError(`${path}: cannot be read: ${cure}`, path, { cause });
}

/**
 * Reads a JSON file of any size entry by entry.
 *
 * @param isWanted - Values of the outer object with other keys are passed over unread.
 * @throws {DatasetError} when the file is missing or broken, or `onEntry` throws one.
 */
export async function readJsonEntries(
  path: string,
  onEntry: (entry: JsonEntry) => void,
  { abortSignal, isWanted }: ReadOptions & { readonly isWanted?: (key: string) => boolean } = {},
): Promise<void> {
  const scanner = new JsonEntryScanner(onEntry, isWanted);
  let isFirst = true;
  try {
    for await (const piece of createReadStream(path, { highWaterMark: PIECE_BYTES, signal: abortSignal })) {
      scanner.push(isFirst ? withoutByteOrderMark(piece as Buffer) : (piece as Buffer));
      isFirst = false;
    }
    scanner.end();
  } catch (cause) {
    abortSignal?.throwIfAborted(); // with the caller's reason
    if (!(cause instanceof JsonProblem)) throw fileProblem(path, cause);
    throw new DatasetError(`${path}: ${cause.message}. Expected complete JSON. Download or copy it again.`, path, { cause });
  }
}

function withoutByteOrderMark(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

/**
 * An entry of a file, checked.
 *
 * @param place - `entry 17 of 'annotations'`
 * @throws {DatasetError} naming file, entry, field, what it holds and what was expected.
 */
export function checkEntry<Entry>(schema: z.ZodMiniType<Entry, unknown>, value: unknown, path: string, place: string): Entry {
  const result = z.safeParse(schema, value);
  if (result.success) return result.data;
  const { path: field, message } = result.error.issues[0]!;
  const found = field.reduce<unknown>(
    (inner, key) => (inner as Readonly<Record<PropertyKey, unknown>> | undefined)?.[key],
    value,
  );
  throw new DatasetError(
    `${path}: ${place}: ${field.length === 0 ? '' : `${field.join('.')} `}is ${shortened(found)}, ${message}. ` +
      `Check that the file is the one you mean, or correct it.`,
    path,
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
  const text = value === undefined ? 'missing' : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** Fields that several formats have. */
export const text: z.ZodMiniType<string, unknown> = z.string('expected a text');
/** One text or a list of them; given as a list. */
export const texts: z.ZodMiniType<readonly string[], unknown> = z.pipe(
  z.union([z.string(), z.array(z.string())], 'expected a text or a list of texts'),
  z.transform((given) => (typeof given === 'string' ? [given] : given)),
);
/** A number or a text that names something. */
export const id: z.ZodMiniType<number | string, unknown> = z.union([z.int(), z.string().check(z.minLength(1))], 'expected an id');
