import { createHash } from 'node:crypto';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { InputError } from '@blip2/core/errors';
import type { Journal } from '../benchmarks/journal.ts';
import type { Id } from '../ids.ts';

/** A journal in a file. */
export interface FileJournal extends Journal, AsyncDisposable {
  /** Items that an earlier run finished. */
  readonly found: number;
}

/** The first line: what is run. */
interface Head {
  readonly journal: 1;
  readonly identity: Readonly<Record<string, unknown>>;
  /** Of the identity; told apart by it. */
  readonly hash: string;
}

/**
 * Opens a journal: a file of JSON lines that only grows. What is appended is on the disk when `append` resolves; a last line that
 * was cut off is dropped.
 *
 * @param identity - All that decides what a prediction is: benchmark, model, settings, a hash of the items.
 * @param options.resume - Go on with what is there. Without it a file that has something in it is refused.
 * @throws {InputError} when the file was begun for something else, naming what differs, or is no journal.
 *
 * @example
 * await using journal = await openJournal('out/journal.jsonl', { model: 'blip2-opt-2.7b', settings }, { resume: true });
 * await predictCaptions(items, captioner, settings, { journal });
 */
export async function openJournal(
  path: string,
  identity: Readonly<Record<string, unknown>>,
  { resume = false }: { readonly resume?: boolean } = {},
): Promise<FileJournal> {
  const earlier = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    throw cause;
  });
  const head: Head = { journal: 1, identity, hash: hashOf(identity) };
  const known = new Map<string, unknown>();
  let wholeBytes = 0;
  if (earlier !== undefined && earlier.length > 0) {
    if (!resume)
      throw new InputError(`${path}: a run was begun here. Go on with it by resuming (--resume), or name another folder.`);
    wholeBytes = readJournal(path, earlier, head, known);
  }
  const file = await open(path, earlier === undefined ? 'w' : 'r+');
  try {
    await file.truncate(wholeBytes);
    if (wholeBytes === 0) wholeBytes += await write(file, wholeBytes, `${JSON.stringify(head)}\n`);
  } catch (cause) {
    await file.close();
    throw cause;
  }
  return {
    found: known.size,
    take(part, id) {
      const key = keyOf(part, id);
      const value = known.get(key);
      known.delete(key);
      return value;
    },
    async append(part, entries) {
      const lines = entries.map(([id, value]) => `${JSON.stringify([part, id, value])}\n`).join('');
      wholeBytes += await write(file, wholeBytes, lines);
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

/** Reads whole lines. @returns how many bytes they are. */
function readJournal(path: string, bytes: Buffer, head: Head, known: Map<string, unknown>): number {
  let [begin, isFirst] = [0, true];
  for (let end = bytes.indexOf(0x0a); end >= 0; begin = end + 1, end = bytes.indexOf(0x0a, begin)) {
    const value = parse(path, bytes.toString('utf8', begin, end));
    if (isFirst) assertSameRun(path, value, head);
    else if (!isEntry(value)) throw notAJournal(path);
    else known.set(keyOf(value[0], value[1]), value[2]);
    isFirst = false;
  }
  return begin; // what is after the last line end was cut off
}

function assertSameRun(path: string, value: unknown, head: Head): void {
  const found = value as Partial<Head> | null;
  if (typeof found !== 'object' || found?.journal !== 1 || typeof found.identity !== 'object') throw notAJournal(path);
  if (found.hash === head.hash) return;
  const [was, is] = [leavesOf(found.identity), leavesOf(head.identity)];
  const different = [...new Set([...was.keys(), ...is.keys()])].filter((key) => was.get(key) !== is.get(key));
  const list = different
    .map((key) => `${key} was ${was.get(key) ?? 'not there'} and is ${is.get(key) ?? 'not there'}`)
    .join('; ');
  throw new InputError(
    `${path}: the run that was begun here is another one: ${list}. Resume it with what it was begun with, or name another folder.`,
  );
}

/** `settings.beams` → `5` */
function leavesOf(value: unknown, path = ''): Map<string, string> {
  if (typeof value !== 'object' || value === null) return new Map([[path, JSON.stringify(value)]]);
  const prefix = path === '' ? '' : `${path}.`;
  return new Map(Object.entries(value).flatMap(([key, inner]) => [...leavesOf(inner, `${prefix}${key}`)]));
}

function parse(path: string, line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new InputError(notAJournal(path).message, { cause });
  }
}

function notAJournal(path: string): InputError {
  return new InputError(`${path}: is no journal of a benchmark, or was damaged. Delete it, or name another folder.`);
}

function isEntry(value: unknown): value is [part: string, id: Id, value: unknown] {
  return (
    Array.isArray(value) && value.length === 3 && typeof value[0] === 'string' && ['string', 'number'].includes(typeof value[1])
  );
}

/** `1` and `'1'` are different ids. */
function keyOf(part: string, id: Id): string {
  return JSON.stringify([part, id]);
}

async function write(file: FileHandle, at: number, text: string): Promise<number> {
  const bytes = Buffer.from(text);
  let written = 0;
  while (written < bytes.length) written += (await file.write(bytes, written, bytes.length - written, at + written)).bytesWritten;
  await file.datasync();
  return bytes.length;
}

function hashOf(identity: unknown): string {
  return createHash('sha256').update(JSON.stringify(identity)).digest('hex');
}
