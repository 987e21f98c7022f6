import { InputError } from '@blip2/core/errors';
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

/** What words are compared by, each computed once: the words of captions recur. */
export interface WordForms {
  stemOf(word: string): string;
  synsetsOf(word: string): ReadonlySet<number>;
}

export function wordForms(tables: WordTables): WordForms {
  return { stemOf: remembering(stemEnglish), synsetsOf: remembering((word) => synsetsOf(word, tables)) };
}

function remembering<Value>(valueOf: (word: string) => Value): (word: string) => Value {
  const known = new Map<string, Value>();
  return (word) => {
    let value = known.get(word);
    if (value === undefined) known.set(word, (value = valueOf(word)));
    return value;
  };
}

/** With more matches of two texts than this the search would take minutes. Texts of a thousand words each have some ten thousand. */
const MOST_MATCHES = 1_000_000;

/** Matches by the word of the reference where they begin, and how many there are. */
class MatchLists {
  readonly lists: MeteorMatch[][];
  readonly #words: string;
  #count = 0;

  constructor(hypothesis: readonly string[], reference: readonly string[]) {
    this.lists = reference.map(() => []);
    this.#words = `${hypothesis.length} and ${reference.length} words`;
  }

  add(match: MeteorMatch): void {
    this.#count += 1;
    if (this.#count > MOST_MATCHES)
      throw new InputError(
        `METEOR: a candidate and a reference of ${this.#words} have more than a million pairs of words that match, expected captions. Shorten the longer one.`,
      );
    this.lists[match.start]!.push(match);
  }
}

/**
 * All matches, by the word of the reference where they begin, in the order in which METEOR finds them.
 *
 * @param forms - Of the words, where several texts are compared.
 * @throws {InputError} when there are more than a million, as for two texts of many thousand words.
 *
 * Source: METEOR 1.5 `aligner` package, `ExactMatcher` and its siblings.
 */
export function findMatches(
  hypothesis: readonly string[],
  reference: readonly string[],
  modules: readonly MeteorModule[],
  tables: MeteorTables,
  forms: WordForms = wordForms(tables),
): MeteorMatch[][] {
  const matches = new MatchLists(hypothesis, reference);
  const areEqual = hypothesis.length === reference.length && hypothesis.every((word, index) => word === reference[index]);
  for (const [module, name] of modules.entries()) {
    if (areEqual && name !== 'exact') continue;
    if (name === 'paraphrase') {
      if (tables.paraphrases) addParaphrases(matches, hypothesis, reference, module, tables.paraphrases);
    } else if (name === 'synonym') addSynonyms(matches, hypothesis, reference, module, forms);
    else if (name === 'stem') addStems(matches, hypothesis, reference, module, forms);
    else addWords(matches, hypothesis, reference, module, (one, other) => one === other);
  }
  return matches.lists;
}

function addStems(
  matches: MatchLists,
  hypothesis: readonly string[],
  reference: readonly string[],
  module: number,
  { stemOf }: WordForms,
): void {
  addWords(matches, hypothesis, reference, module, (one, other) => one !== other && stemOf(one) === stemOf(other));
}

function addSynonyms(
  matches: MatchLists,
  hypothesis: readonly string[],
  reference: readonly string[],
  module: number,
  { synsetsOf: synsets }: WordForms,
): void {
  const share = (one: ReadonlySet<number>, other: ReadonlySet<number>): boolean => {
    for (const synset of one) if (other.has(synset)) return true;
    return false;
  };
  addWords(matches, hypothesis, reference, module, (one, other) => one !== other && share(synsets(one), synsets(other)));
}

/** Words that match; each word is compared with each other one once. */
function addWords(
  matches: MatchLists,
  hypothesis: readonly string[],
  reference: readonly string[],
  module: number,
  matchesWord: (one: string, other: string) => boolean,
): void {
  const places = new Map<string, number[]>(); // of the words of the hypothesis
  for (const [other, word] of hypothesis.entries()) {
    const known = places.get(word);
    if (known === undefined) places.set(word, [other]);
    else known.push(other);
  }
  const found = new Map<string, readonly number[]>(); // for a word of the reference, where words that match it stand
  for (const [start, one] of reference.entries()) {
    let others = found.get(one);
    if (others === undefined) {
      const lists = [...places].filter(([word]) => matchesWord(one, word)).map(([, list]) => list);
      others = lists.length === 1 ? lists[0]! : lists.flat().toSorted((a, b) => a - b);
      found.set(one, others);
    }
    for (const other of others) matches.add({ start, length: 1, other, otherLength: 1, module });
  }
}

/** From the reference to the hypothesis, then the other way. */
function addParaphrases(
  matches: MatchLists,
  hypothesis: readonly string[],
  reference: readonly string[],
  module: number,
  paraphrases: Paraphrases,
): void {
  for (const place of findParaphrases(reference, hypothesis, paraphrases)) matches.add({ ...place, module });
  for (const { start, length, other, otherLength } of findParaphrases(hypothesis, reference, paraphrases))
    matches.add({ start: other, length: otherLength, other: start, otherLength: length, module });
}
