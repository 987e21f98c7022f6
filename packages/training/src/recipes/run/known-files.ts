import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileProblem, writePending } from '@blip2/checkpoints/node';
import type { Schema } from '@blip2/core/config';
import * as z from 'zod/mini';
import { isMissing } from '../../checkpoints/checkpoint-names.ts';

/** What an image file was when it was last read: the hash of its content, or what is wrong with it. */
export interface KnownFile extends FileStamp {
  readonly content?: string;
  readonly problem?: string;
}

/** Size and time of a file, which tell whether it is the one that was read. */
export interface FileStamp {
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

const knownFile = z.object({
  path: z.string(),
  sizeBytes: z.number(),
  modifiedMs: z.number(),
  content: z.optional(z.string()),
  problem: z.optional(z.string()),
}) as Schema<KnownFile>;

const FILE = 'pictures.jsonl';
const LINES_AT_ONCE = 10_000;

/**
 * Image files that were read before, so that going on with a large data set asks for their sizes and times alone. Only a memory: without
 * it, or with lines that are broken, files are read again.
 */
export class KnownFiles {
  readonly #path: string;
  readonly #files: Map<string, KnownFile>;
  #changed = false;

  private constructor(path: string, files: Map<string, KnownFile>) {
    this.#path = path;
    this.#files = files;
  }

  /** @param folder - Of the feature store. */
  static async open(folder: string): Promise<KnownFiles> {
    const path = join(folder, FILE);
    const names = await readdir(folder);
    const unfinished = names.filter((name) => name.startsWith(`.${FILE}.`)); // of a run that was killed
    for (const name of unfinished) await rm(join(folder, name), { force: true });
    const text = await readFile(path, 'utf8').catch((cause: unknown) => {
      if (isMissing(cause)) return '';
      throw fileProblem('read', path, cause);
    });
    return new KnownFiles(path, new Map(text.split('\n').flatMap(decodeLine)));
  }

  /** What is known of a file, if it is as it was. */
  get({ path, sizeBytes, modifiedMs }: FileStamp): KnownFile | undefined {
    const known = this.#files.get(path);
    return known?.sizeBytes === sizeBytes && known.modifiedMs === modifiedMs ? known : undefined;
  }

  set(file: KnownFile): void {
    this.#files.set(file.path, file);
    this.#changed = true;
  }

  async save(): Promise<void> {
    if (!this.#changed) return;
    const pending = await writePending(this.#path, async (append) => {
      const lines = Array.from(this.#files.values(), (file) => `${JSON.stringify(file)}\n`);
      for (let begin = 0; begin < lines.length; begin += LINES_AT_ONCE)
        await append(new TextEncoder().encode(lines.slice(begin, begin + LINES_AT_ONCE).join('')));
    });
    await pending.commit();
    this.#changed = false;
  }
}

function decodeLine(line: string): [string, KnownFile][] {
  try {
    const file = z.parse(knownFile, JSON.parse(line));
    return [[file.path, file]];
  } catch {
    return [];
  }
}

/** The first of the paths at which there is a file. */
export async function stampOf(paths: readonly string[]): Promise<FileStamp | undefined> {
  for (const path of paths) {
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isFile()) return { path: resolve(path), sizeBytes: stats.size, modifiedMs: stats.mtimeMs };
  }
  return undefined;
}
