import { InputError } from '@blip2/core/errors';
import type { WordTables } from '../word-tables.ts';
import { areAlike, mergedTuples } from './graph.ts';
import type { Concept, SceneTuple } from './graph.ts';
import type { SpiceCategories, SpiceScore } from './scores.ts';

/** Which tuples a category has. */
type Category = (tuple: readonly Concept[]) => boolean;

const BY_SIZE: Readonly<Record<string, Category>> = {
  All: () => true,
  Object: ({ length }) => length === 1,
  Attribute: ({ length }) => length === 2,
  Relation: ({ length }) => length === 3,
};

/** What {@link spiceTupleScores} can be told about words; the user's. */
export interface SpiceTupleOptions {
  /** Without them words are equal or different. */
  readonly synonyms?: WordTables;
  /**
   * Words of attributes by the name of their category. SPICE 1.0 has the lists `Cardinality`, `Color` and `Size`, which are not in this package.
   * @default none: `All`, `Object`, `Attribute` and `Relation` alone
   */
  readonly attributeWords?: Readonly<Record<string, Iterable<string>>>;
}

/**
 * The second half of SPICE: F-scores of a candidate's scene graph against those of its references, pooled. The first half, from captions to graphs,
 * is a parser that this package does not have.
 *
 * @param candidate - Tuples: `[object]`, `[object, attribute]`, `[subject, object, relation]`.
 * @param references - Tuples of all references.
 * @throws {InputError} when a tuple has none or more than three parts.
 *
 * Source: Anderson et al., SPICE (arXiv 1607.08822); SPICE 1.0 `SpiceScorer`.
 */
export function spiceTupleScores(
  candidate: readonly SceneTuple[],
  references: readonly SceneTuple[],
  { synonyms, attributeWords = {} }: SpiceTupleOptions = {},
): SpiceCategories {
  const wrong = [...candidate, ...references].find(({ length }) => length < 1 || length > 3);
  if (wrong !== undefined)
    throw new InputError(
      `spiceTupleScores: a tuple has ${wrong.length} parts, expected [object], [object, attribute] or [subject, object, relation]. Check the parser's output.`,
    );
  const [found, expected] = [mergedTuples(candidate, synonyms), mergedTuples(references, synonyms)];
  const categories = {
    ...BY_SIZE,
    ...Object.fromEntries(Object.entries(attributeWords).map(([name, words]) => [name, attributeIn(words)])),
  };
  return Object.fromEntries(
    Object.entries(categories).map(([name, belongs]) => [
      name,
      score(found.filter(belongs), expected.filter(belongs), name === 'All'),
    ]),
  );
}

function score(found: readonly (readonly Concept[])[], expected: readonly (readonly Concept[])[], isAll: boolean): SpiceScore {
  const matches = (tuple: readonly Concept[]): boolean =>
    expected.some((other) => other.length === tuple.length && other.every((concept, part) => areAlike(concept, tuple[part]!)));
  const tp = found.filter(matches).length;
  const [fp, fn] = [found.length - tp, expected.length - tp];
  if (expected.length === 0 && !isAll) return { f: Number.NaN, pr: Number.NaN, re: Number.NaN, tp, fp, fn };
  const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);
  const [pr, re] = [share(tp, found.length), share(tp, expected.length)];
  return { f: share(2 * pr * re, pr + re), pr, re, tp, fp, fn };
}

function attributeIn(words: Iterable<string>): Category {
  const list = new Set(words);
  return ({ length, 1: attribute }) => length === 2 && [...attribute!.words].some((word) => list.has(word));
}
