// For tests only: files that are not on a disk.
import type { FileSource } from '@blip2/core/json';

/** A value as a JSON file, in pieces of some bytes. */
export function jsonSource(value: unknown, name = 'file.json', pieceBytes = 1000): FileSource {
  return textSource(JSON.stringify(value), name, pieceBytes);
}

/** A text, or bytes, as a file. */
export function textSource(text: string | Uint8Array, name = 'file.json', pieceBytes = 1000): FileSource {
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  return {
    name,
    async *read() {
      for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.slice(at, at + pieceBytes);
    },
  };
}

/** What asynchronous work says when it fails. */
export async function problemOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'nothing was thrown',
    (error: unknown) => (error as Error).message,
  );
}
