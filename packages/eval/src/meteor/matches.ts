import { synsetsOf } from '../word-tables.ts';
import type { WordTables } from '../word-tables.ts';
import { findParaphrases, type Paraphrases } from './paraphrases.ts';
import { stemEnglish } from './stemmer.ts';

/** What finds matches, in this order. */
export type MeteorModule = 'exact' | 'stem' | 'synonym' | 'paraphrase';

/** What METEOR knows of a language beside its rules; the user's. */
export interface MeteorTables extends WordTables {
  readonly paraphrases?: Paraphrases;
}

/** Words of the reference from `start` and of the hypothesis from `other` that match. */
export interface MeteorMatch {
  readonly start: number;
  readonly length: number;
  readonly other: number;
  readonly otherLength: number;
  /** Position of the module among those that run. */
  readonly module: number;
}

/**
 * All matches, by the word of the reference where they begin, in the order in which METEOR finds them.
 *
 * Source: METEOR 1.5 `aligner` package, `ExactMatcher` and its siblings.
 */
export function findMatches(
  hypothesis: readonly string[],
  reference: readonly string[],
  modules: readonly MeteorModule[],
  tables: MeteorTables,
): MeteorMatch[][] {
  const matches: MeteorMatch[][] = reference.map(() => []);
  const areEqual = hypothesis.length === reference.length && hypothesis.every((word, index) => word === reference[index]);
  for (const [module, name] of modules.entries()) {
    if (areEqual && name !== 'exact') continue;
    if (name === 'paraphrase') {
      if (tables.paraphrases) addParaphrases(matches, hypothesis, reference, module, tables.paraphrases);
    } else if (name === 'synonym') addSynonyms(matches, hypothesis, reference, module, tables);
    else if (name === 'stem') addStems(matches, hypothesis, reference, module);
    else addWords(matches, hypothesis, reference, module, (one, other) => one === other);
  }
  return matches;
}

function addStems(matches: MeteorMatch[][], hypothesis: readonly string[], reference: readonly string[], module: number): void {
  const stems = new Map([...hypothesis, ...reference].map((word) => [word, stemEnglish(word)]));
  addWords(matches, hypothesis, reference, module, (one, other) => one !== other && stems.get(one) === stems.get(other));
}

function addSynonyms(
  matches: MeteorMatch[][],
  hypothesis: readonly string[],
  reference: readonly string[],
  module: number,
  tables: WordTables,
): void {
  const synsets = new Map([...hypothesis, ...reference].map((word) => [word, synsetsOf(word, tables)]));
  const share = (one: string, other: string): boolean => [...synsets.get(one)!].some((synset) => synsets.get(other)!.has(synset));
  addWords(matches, hypothesis, reference, module, (one, other) => one !== other && share(one, other));
}

function addWords(
  matches: MeteorMatch[][],
  hypothesis: readonly string[],
  reference: readonly string[],
  module: number,
  matchesWord: (one: string, other: string) => boolean,
): void {
  for (const [start, one] of reference.entries())
    for (const [other, word] of hypothesis.entries())
      if (matchesWord(one, word)) matches[start]!.push({ start, length: 1, other, otherLength: 1, module });
}

/** From the reference to the hypothesis, then the other way. */
function addParaphrases(
  matches: MeteorMatch[][],
  hypothesis: readonly string[],
  reference: readonly string[],
  module: number,
  paraphrases: Paraphrases,
): void {
  for (const place of findParaphrases(reference, hypothesis, paraphrases)) matches[place.start]!.push({ ...place, module });
  for (const { start, length, other, otherLength } of findParaphrases(hypothesis, reference, paraphrases))
    matches[other]!.push({ start: other, length: otherLength, other: start, otherLength: length, module });
}
