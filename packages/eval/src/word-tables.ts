import { INFLECTIONS } from '../data/meteor-words.ts';

/** Which words mean alike, and irregular forms; the user's, in the form of METEOR's and SPICE's own tables. */
export interface WordTables {
  /** Numbers of the synsets that a word is in. */
  readonly synsets: ReadonlyMap<string, readonly number[]>;
  /** For an inflected form the words that it may be a form of. */
  readonly exceptions: ReadonlyMap<string, readonly string[]>;
}

const suffixes = INFLECTIONS.trim()
  .split(/\s+/)
  .map((pair) => pair.split(':') as [suffix: string, replacement: string]);

/**
 * The synsets of a word: its own, and those of the words it may be a form of.
 *
 * Source: METEOR 1.5 `SynonymDictionary`; SPICE has the same.
 */
export function synsetsOf(word: string, { synsets, exceptions }: WordTables): Set<number> {
  const bases = exceptions.get(word) ?? baseForms(word, synsets);
  return new Set([word, ...bases].flatMap((one) => synsets.get(one) ?? []));
}

function baseForms(word: string, synsets: WordTables['synsets']): string[] {
  if (word.endsWith('ss') || word.length <= 2) return [word];
  for (const [suffix, replacement] of suffixes) {
    if (!word.endsWith(suffix)) continue;
    const base = word.slice(0, word.length - suffix.length) + replacement;
    if (synsets.has(base)) return [base];
  }
  return [];
}

/**
 * Reads METEOR's and SPICE's tables: pairs of lines, a word and its synsets in one file, a word and its irregular forms in the other.
 *
 * @param synsets - The text of `english.synsets`.
 * @param exceptions - The text of `english.exceptions`.
 */
export function parseWordTables(synsets: string, exceptions = ''): WordTables {
  const bases = new Map<string, string[]>();
  for (const [base, forms] of linePairs(exceptions))
    for (const form of forms) bases.set(form, [...(bases.get(form) ?? []), base]);
  return { synsets: new Map(linePairs(synsets).map(([word, ids]) => [word, ids.map(Number)])), exceptions: bases };
}

function linePairs(text: string): [first: string, second: string[]][] {
  const lines = text.split(/\r?\n/);
  return Array.from({ length: Math.floor(lines.length / 2) }, (_, index) => [
    lines[2 * index]!.trim(),
    lines[2 * index + 1]!.split(/\s+/).filter((one) => one !== ''),
  ]);
}
