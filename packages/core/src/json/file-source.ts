import { DatasetError } from '../errors.ts';
import { type JsonEntry, JsonEntryScanner, JsonProblem } from './json-entries.ts';

/**
 * A file, wherever it is: on a disk (`fileSource` of `@blip2/core/node`), chosen in a page, answered by a server.
 *
 * @example
 * const upload: FileSource = { name: file.name, read: () => file.stream() };
 * const download: FileSource = { name: url, read: async function* () { yield* (await fetch(url)).body!; } };
 */
export interface FileSource {
  /** For messages: its path or its name. */
  readonly name: string;
  /** Its bytes from the beginning, in pieces of any size; leaving the loop early closes it. */
  read(): AsyncIterable<Uint8Array>;
}

/** Options of {@link readJsonEntries}. */
export interface ReadEntriesOptions {
  /** Stops reading before the next piece; the call rejects with the signal's reason. */
  readonly abortSignal?: AbortSignal;
  /** Values of the outer object with other keys are passed over unread. @default all are wanted */
  readonly isWanted?: (key: string) => boolean;
}

/**
 * Reads a JSON file of any size entry by entry: those of a list, or of an object's lists, and its other values. A byte order mark is skipped.
 *
 * @param onEntry - Called for each entry, in order; what it throws ends the reading.
 * @throws {DatasetError} when the file is not complete JSON in UTF-8, naming file and entry, and whatever `source` throws.
 * @throws the abort signal's reason.
 */
export async function readJsonEntries(
  source: FileSource,
  onEntry: (entry: JsonEntry) => void,
  { abortSignal, isWanted }: ReadEntriesOptions = {},
): Promise<void> {
  const scanner = new JsonEntryScanner(onEntry, isWanted);
  abortSignal?.throwIfAborted();
  try {
    for await (const piece of source.read()) {
      abortSignal?.throwIfAborted();
      scanner.push(piece);
    }
    scanner.end();
  } catch (cause) {
    if (!(cause instanceof JsonProblem)) throw cause;
    throw new DatasetError(`${source.name}: ${cause.message}. ${cause.cure}`, source.name, { cause });
  }
}
