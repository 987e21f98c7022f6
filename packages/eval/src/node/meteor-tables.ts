import { createReadStream } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { DatasetError } from '@blip2/core/errors';
import type { MeteorModule, MeteorTables } from '../meteor/matches.ts';
import { ParaphraseCollector, type Paraphrases } from '../meteor/paraphrases.ts';
import { parseWordTables } from '../word-tables.ts';

/** What a folder has of METEOR's data, and what it is enough for. */
export interface MeteorData {
  readonly tables: MeteorTables;
  /** Exact and stem always; synonym and paraphrase where their files are there. All four are METEOR 1.5 as the COCO tools run it. */
  readonly modules: readonly MeteorModule[];
  /** Files without which the other modules cannot run. */
  readonly missing: readonly string[];
}

const FILES = { synsets: 'english.synsets', exceptions: 'english.exceptions', paraphrases: 'paraphrase-en.gz' } as const;

/**
 * Reads METEOR's data, which are not part of this package: `english.synsets` and `english.exceptions`, which lie in METEOR's jar, and
 * `paraphrase-en.gz`, which lies in `data` beside it.
 *
 * @param words - Of the texts to be scored, normalised: paraphrases with other words are not kept. @default all are kept
 * @throws {DatasetError} when the folder is not there, has none of the files or one of the first two alone, or one cannot be read.
 */
export async function readMeteorTables(folder: string, words?: ReadonlySet<string>): Promise<MeteorData> {
  const found = await stat(folder).catch(() => undefined);
  const has = async (file: string): Promise<boolean> =>
    access(join(folder, file)).then(
      () => true,
      () => false,
    );
  const [hasSynsets, hasExceptions] = [await has(FILES.synsets), await has(FILES.exceptions)];
  const hasParaphrases = await has(FILES.paraphrases);
  if (found?.isDirectory() !== true || !(hasSynsets || hasParaphrases))
    throw new DatasetError(
      `${folder}: ${found === undefined ? 'is not there' : 'has no data of METEOR'}, expected a folder with ${Object.values(FILES).join(', ')}. ` +
        `The first two are inside METEOR's jar, the last in data beside it.`,
      folder,
    );
  if (hasSynsets !== hasExceptions)
    throw new DatasetError(
      `${folder}: has ${hasSynsets ? FILES.synsets : FILES.exceptions} alone, expected ${FILES.synsets} and ${FILES.exceptions}: ` +
        `synonyms of inflected words need both. Copy the other one out of METEOR's jar.`,
      folder,
    );
  const text = async (file: string): Promise<string> => (hasSynsets ? readFile(join(folder, file), 'utf8') : '');
  const tables: MeteorTables = {
    ...parseWordTables(await text(FILES.synsets), await text(FILES.exceptions)),
    ...(hasParaphrases ? { paraphrases: await readParaphrases(join(folder, FILES.paraphrases), words) } : {}),
  };
  return {
    tables,
    modules: [
      'exact',
      'stem',
      ...(hasSynsets ? (['synonym'] as const) : []),
      ...(hasParaphrases ? (['paraphrase'] as const) : []),
    ],
    missing: [...(hasSynsets ? [] : [FILES.synsets, FILES.exceptions]), ...(hasParaphrases ? [] : [FILES.paraphrases])],
  };
}

async function readParaphrases(path: string, words: ReadonlySet<string> | undefined): Promise<Paraphrases> {
  const collector = new ParaphraseCollector(words);
  const unpacked = createReadStream(path).pipe(createGunzip());
  try {
    for await (const line of createInterface({ input: unpacked, crlfDelay: Infinity })) collector.add(line);
  } catch (cause) {
    throw new DatasetError(`${path}: cannot be unpacked, expected METEOR's table of paraphrases. Copy it again.`, path, {
      cause,
    });
  }
  return collector.end();
}
