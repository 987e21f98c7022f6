import { synsetsOf } from '../word-tables.ts';
import type { WordTables } from '../word-tables.ts';

/** `[object]`, `[object, attribute]` or `[subject, object, relation]`. */
export type SceneTuple = readonly string[];

/** A thing, a property or a relation, by all the words that name it. */
export interface Concept {
  readonly words: Set<string>;
  readonly synsets: Set<number>;
}

interface SceneNode {
  readonly concept: Concept;
  readonly attributes: Concept[];
}

interface Relation {
  readonly subject: SceneNode;
  readonly object: SceneNode;
  readonly concept: Concept;
}

/**
 * The tuples of a scene graph in which things that mean the same are one: one a thing, one a property, one a relation.
 *
 * @param tables - Without them words are equal or different, and nothing is merged.
 *
 * Source: SPICE 1.0 `SceneGraph` and `Proposition`. Where several merges are possible and equally good, the first is made; SPICE leaves the choice open.
 */
export function mergedTuples(tuples: readonly SceneTuple[], tables?: WordTables): Concept[][] {
  const nodes: SceneNode[] = [];
  const relations: Relation[] = [];
  const conceptOf = (text: string): Concept => ({
    words: new Set([text]),
    synsets: tables === undefined ? new Set() : synsetsOf(text.replaceAll(' ', '_'), tables),
  });
  for (const [first, second, third] of tuples) {
    const subject = addNode(nodes, conceptOf(first!));
    if (second === undefined) continue;
    if (third === undefined) {
      addConcept(subject.attributes, conceptOf(second));
      continue;
    }
    const object = addNode(nodes, conceptOf(second));
    const concept = conceptOf(third.replace(/^be /, ''));
    const between = relations.filter((one) => one.subject === subject && one.object === object).map((one) => one.concept);
    const known = between.find((one) => areAlike(one, concept));
    if (known === undefined) relations.push({ subject, object, concept });
    else merge(known, concept);
  }
  return [
    ...nodes.map(({ concept }) => [concept]),
    ...nodes.flatMap(({ concept, attributes }) => attributes.map((attribute) => [concept, attribute])),
    ...relations.map(({ subject, object, concept }) => [subject.concept, concept, object.concept]),
  ];
}

/** True when concepts share a word or a synset. */
export function areAlike(one: Concept, other: Concept): boolean {
  return similarity(one, other) > 0;
}

/** The node of a concept: a new one, or the most similar one, which then has its words too. */
function addNode(nodes: SceneNode[], concept: Concept): SceneNode {
  let best: SceneNode | undefined;
  for (const node of nodes) {
    const similar = similarity(node.concept, concept);
    if (similar > 0 && (best === undefined || similar > similarity(best.concept, concept))) best = node;
  }
  if (best !== undefined) {
    merge(best.concept, concept);
    return best;
  }
  const node = { concept, attributes: [] };
  nodes.push(node);
  return node;
}

function addConcept(concepts: Concept[], concept: Concept): void {
  const known = concepts.find((one) => areAlike(one, concept));
  if (known === undefined) concepts.push(concept);
  else merge(known, concept);
}

/** 1 for a common word, else the share of common synsets. */
function similarity(one: Concept, other: Concept): number {
  if ([...other.words].some((word) => one.words.has(word))) return 1;
  const common = [...other.synsets].filter((synset) => one.synsets.has(synset)).length;
  return common === 0 ? 0 : common / (one.synsets.size + other.synsets.size - common);
}

function merge(into: Concept, concept: Concept): void {
  for (const word of concept.words) into.words.add(word);
  for (const synset of concept.synsets) into.synsets.add(synset);
}
