import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { assertSameIds, indexById, mean } from '../ids.ts';
import type { Id } from '../ids.ts';
import type { PreparedCaptions } from '../captions/evaluate.ts';
import type { SpiceCategories } from '../spice/scores.ts';
import { findJar, JavaProcess, JavaScorerError } from './java.ts';
import type { JavaOptions } from './java.ts';

/** SPICE of all images and of each. */
export interface SpiceScores {
  /** Mean of the images' F-scores, from 0 to 1. */
  readonly corpus: number;
  readonly perImage: ReadonlyMap<Id, SpiceCategories>;
}

const HOUR_MS = 3_600_000;

/**
 * SPICE 1.0 with the Java program of its authors. It wants Java 8 to 14, about 8 GB, and minutes.
 *
 * @param captions - As `prepareCaptions` gives them.
 * @throws {JavaScorerError} when Java, the jar or its models are missing, the program fails, takes too long, or writes something else.
 *
 * Source: pycocoevalcap `spice.py`; Anderson et al., SPICE (arXiv 1607.08822).
 */
export async function spice(
  { ids, captions }: Omit<PreparedCaptions, 'leftOut'>,
  options: JavaOptions = {},
): Promise<SpiceScores> {
  const models = ['lib/stanford-corenlp-3.6.0.jar', 'lib/stanford-corenlp-3.6.0-models.jar'];
  const jar = await findJar('SPICE', options.jar, models);
  const folder = await mkdtemp(join(tmpdir(), 'spice-')); // also the cache of parses, which must exist
  const [input, output] = [join(folder, 'input.json'), join(folder, 'output.json')];
  try {
    await writeFile(input, JSON.stringify(spiceInput({ ids, captions })));
    const parameters = ['-jar', '-Xmx8G', basename(jar), input, '-cache', folder, '-out', output, '-subset', '-silent'];
    const program = new JavaProcess('SPICE', dirname(resolve(jar)), parameters, options, HOUR_MS);
    try {
      await program.end();
    } finally {
      program.kill();
    }
    return spiceScores(ids, await readResult(output));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What the program reads: sorted by id, numbers first. */
export function spiceInput({
  ids,
  captions,
}: Omit<PreparedCaptions, 'leftOut'>): { image_id: Id; test: string; refs: readonly string[] }[] {
  return captions
    .map(({ candidate, references }, index) => ({ image_id: ids[index]!, test: candidate, refs: references }))
    .toSorted(({ image_id: a }, { image_id: b }) => {
      if (typeof a === 'number' && typeof b === 'number') return a - b;
      if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1;
      return a < b ? -1 : 1;
    });
}

/** A line of the file that the program writes; null stands for what is not a number. */
export interface SpiceResult {
  readonly image_id: Id;
  readonly scores: Readonly<Record<string, Readonly<Record<string, number | null>>>>;
}

/**
 * The scores in a result of the program: the mean in the order of the file, categories by image.
 *
 * @throws {InputError} when an image is missing, unknown or there twice.
 */
export function spiceScores(ids: readonly Id[], results: readonly SpiceResult[]): SpiceScores {
  const byImage = indexById('spice', results, ({ image_id }) => image_id);
  assertSameIds('spice', byImage, new Map(ids.map((id) => [id, id])), 'images');
  const categories = ({ scores }: SpiceResult): SpiceCategories =>
    Object.fromEntries(
      Object.entries(scores).map(([name, score]) => {
        const number = (key: string): number => score[key] ?? Number.NaN;
        return [
          name,
          { f: number('f'), pr: number('pr'), re: number('re'), tp: number('tp'), fp: number('fp'), fn: number('fn') },
        ];
      }),
    );
  const corpus = mean(
    'spice',
    results.map(({ scores }) => scores['All']?.['f'] ?? Number.NaN),
  );
  return { corpus, perImage: new Map(ids.map((id) => [id, categories(byImage.get(id)!)])) };
}

async function readResult(path: string): Promise<SpiceResult[]> {
  try {
    const result: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (Array.isArray(result)) return result as SpiceResult[];
  } catch (cause) {
    throw new JavaScorerError(
      'SPICE',
      'the program wrote no result that can be read, expected a list in JSON. Check its jar and its java.',
      { cause },
    );
  }
  throw new JavaScorerError(
    'SPICE',
    'the program wrote something else than a list of results. Check that the jar is that of SPICE 1.0.',
  );
}
