import { InputError } from '@blip2/core/errors';
import type { WordTables } from '../word-tables.ts';
import { areAlike, mergedTuples } from './graph.ts';
import type { Concept, SceneTuple } from './graph.ts';
import type { SpiceCategories, SpiceScore } from './scores.ts';
import { CARDINALITY_WORDS, COLOR_WORDS, SIZE_WORDS } from './tables.ts';

/** Which tuples a category has. */
const CATEGORIES: Readonly<Record<string, (tuple: readonly Concept[]) => boolean>> = {
  All: () => true,
  Object: ({ length }) => length === 1,
  Attribute: ({ length }) => length === 2,
  Relation: ({ length }) => length === 3,
  Cardinality: attributeIn(CARDINALITY_WORDS),
  Color: attributeIn(COLOR_WORDS),
  Size: attributeIn(SIZE_WORDS),
};

/**
 * The second half of SPICE: F-scores of a candidate's scene graph against those of its references, pooled. The first half, from captions to graphs,
 * is a parser that this package does not have.
 *
 * @param candidate - Tuples: `[object]`, `[object, attribute]`, `[subject, object, relation]`.
 * @param references - Tuples of all references.
 * @param tables - Synonyms; without them words are equal or different.
 * @throws {InputError} when a tuple has none or more than three parts.
 *
 * Source: Anderson et al., SPICE (arXiv 1607.08822); SPICE 1.0 `SpiceScorer`.
 */
export function spiceTupleScores(
  candidate: readonly SceneTuple[],
  references: readonly SceneTuple[],
  tables?: WordTables,
): SpiceCategories {
  const wrong = [...candidate, ...references].find(({ length }) => length < 1 || length > 3);
  if (wrong !== undefined)
    throw new InputError(
      `spiceTupleScores: a tuple has ${wrong.length} parts, expected [object], [object, attribute] or [subject, object, relation]. Check the parser's output.`,
    );
  const [found, expected] = [mergedTuples(candidate, tables), mergedTuples(references, tables)];
  return Object.fromEntries(
    Object.entries(CATEGORIES).map(([name, belongs]) => [
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

function attributeIn(words: string): (tuple: readonly Concept[]) => boolean {
  const list = new Set(words.trim().split(/\s+/));
  return ({ length, 1: attribute }) => length === 2 && [...attribute!.words].some((word) => list.has(word));
}
