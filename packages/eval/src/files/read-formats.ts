import { DatasetError } from '@blip2/core/errors';
import { checkEntry, type FileSource, type JsonEntry, placeOf, readJsonEntries, shortened } from '@blip2/core/json';
import type * as z from 'zod/mini';
import { FILE_FORMATS, type FileFormat, formatOf, KEYED_FORMATS, LIST_KEYS } from './formats.ts';

/** Options of everything that reads a file. */
export interface LoadOptions {
  /** Stops reading; the call rejects with the signal's reason. */
  readonly abortSignal?: AbortSignal;
}

/** A file that is being read: its name, and errors about its entries. */
export interface OpenFile {
  readonly name: string;
  /** An entry's value, checked. @throws {DatasetError} naming what is wrong with it. */
  check<Entry>(schema: z.ZodMiniType<Entry, unknown>, entry: JsonEntry): Entry;
  /** An error about the file, or about one of its entries. */
  fail(what: string, entry?: JsonEntry): DatasetError;
}

/** What is done with the entries of the formats that a loader takes. */
export type FormatHandlers = { readonly [Format in FileFormat]?: (entry: JsonEntry, file: OpenFile) => void };

/**
 * Reads a file in one of the formats that `handlers` knows, entry by entry. A format is recognised by the first entry of each of its lists;
 * entries after it are the handler's to check.
 *
 * @param onOther - For values of the outer object that belong to no list, such as `data_subtype`.
 * @returns the file, for errors about the whole of it.
 * @throws {DatasetError} when the file is of another format, which is named, or of none, or holds nothing.
 */
export async function readFormats(
  source: FileSource,
  handlers: FormatHandlers,
  { abortSignal, onOther }: LoadOptions & { readonly onOther?: (key: string, value: unknown, file: OpenFile) => void } = {},
): Promise<OpenFile> {
  const file = openFile(source.name);
  const expected = (Object.keys(handlers) as FileFormat[]).map((format) => FILE_FORMATS[format]).join(', or ');
  const isKeyed = (Object.keys(handlers) as FileFormat[]).every((format) => KEYED_FORMATS.has(format));
  const formats = new Map<string | undefined, FileFormat>(); // of the lists, by key
  let found: FileFormat | undefined;
  let other: JsonEntry | undefined; // the first value that belongs to no format

  const refuse = (entry: JsonEntry): never => {
    const what = `is ${shortened(entry.value)}, expected an entry of ${expected}. Check that the file is the one you mean.`;
    throw file.fail(what, entry);
  };
  /** The format of an entry, unless it is none that matters. */
  const recognise = (entry: JsonEntry): FileFormat | undefined => {
    const format = formatOf(entry) ?? (isKeyed ? found : undefined);
    if (format === undefined) {
      if (entry.key === undefined || LIST_KEYS.has(entry.key)) refuse(entry);
      other ??= entry;
      return undefined;
    }
    if (handlers[format] === undefined) throw file.fail(`holds ${FILE_FORMATS[format]}, expected ${expected}. Pass that file.`);
    if (isKeyed && other !== undefined) refuse(other); // all keys of such a file are ids
    return format;
  };
  const onEntry = (entry: JsonEntry): void => {
    const isListed = entry.index !== undefined;
    const format = (isListed ? formats.get(entry.key) : undefined) ?? recognise(entry);
    if (format === undefined) {
      if (!isListed) onOther?.(entry.key!, entry.value, file);
      return;
    }
    if (isListed) formats.set(entry.key, format);
    found = format;
    handlers[format]!(entry, file);
  };
  await readJsonEntries(source, onEntry, { abortSignal });
  if (found === undefined)
    throw file.fail(
      `holds nothing${other === undefined ? '' : ` but values such as '${other.key}'`}, expected ${expected}. Check that the file is the one you mean.`,
    );
  return file;
}

function openFile(name: string): OpenFile {
  return {
    name,
    check: (schema, entry) => checkEntry(schema, entry.value, name, placeOf(entry)),
    fail: (what, entry) => new DatasetError(`${name}: ${entry === undefined ? '' : `${placeOf(entry)}: `}${what}`, name),
  };
}
