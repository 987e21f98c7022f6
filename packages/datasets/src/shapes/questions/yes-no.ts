import type { Random } from '@blip2/core';
import { article } from '../grammar.ts';
import { type Attribute, type Filter, matches } from '../programs.ts';
import type { Asker } from '../questions.ts';
import { pick, pickWeighted, shuffled } from '../random.ts';
import { isRelated, OPPOSITE, RELATIONS } from '../relations.ts';
import type { Scene } from '../scene.ts';
import { describeUniquely, filterOf, isPossible, nounOf, nounsOf, shuffledObjects, valuesOf } from './phrases.ts';

/** Pairs of attributes that existence is asked of. */
export const EXIST_SHARES = {
  'color shape': 60,
  'texture shape': 14,
  'texture color': 10,
  'size shape': 8,
  'size color': 8,
} as const;

/** "is there a red circle?" */
export const askExist: Asker = (scene, random) => {
  const attributes = pickWeighted(EXIST_SHARES, random).split(' ') as [Attribute, Attribute];
  const isThere = random() < 0.5;
  const filter = isThere ? filterOf(pick(scene.objects, random), attributes) : absentFilter(scene, attributes, random);
  if (filter === undefined) return undefined;
  const noun = nounOf(filter);
  return {
    text: `is there ${article(noun)} ${noun}?`,
    answer: isThere ? 'yes' : 'no',
    program: { op: 'exist', filter },
  };
};

/**
 * What is not there, but nearly: one object's value with another's ("is there a red circle?" of a red square and a blue
 * circle); where all such are there, one value of an object is changed.
 */
export function absentFilter(scene: Scene, attributes: readonly [Attribute, Attribute], random: Random): Filter | undefined {
  const [first, second] = attributes;
  const isAbsent = (filter: Filter): boolean =>
    isPossible(filter, scene.domain) && !scene.objects.some((object) => matches(object, filter));
  const swapped = scene.objects
    .flatMap((object) => scene.objects.map((other): Filter => ({ [first]: object[first], [second]: other[second] })))
    .filter(isAbsent);
  if (swapped.length > 0 && random() < 0.75) return pick(swapped, random);
  const kept = pick(scene.objects, random);
  const changed = random() < 0.5 ? first : second;
  const others = valuesOf(changed, scene.domain)
    .map((value): Filter => ({ ...filterOf(kept, attributes), [changed]: value }))
    .filter(isAbsent);
  return others.length > 0 ? pick(others, random) : undefined;
}

/** "are there more red objects than blue objects?" */
export const askCompare: Asker = (scene, random) => {
  const attribute = random() < 0.5 ? 'color' : 'shape';
  const values = [...new Set(scene.objects.map((object) => object[attribute]))];
  const than = pick(['more', 'fewer', 'equal'] as const, random);
  const pairs = values.flatMap((first) => values.filter((second) => second !== first).map((second) => ({ first, second })));
  const countOf = (value: string): number => scene.objects.filter((object) => object[attribute] === value).length;
  const holds = ({ first, second }: (typeof pairs)[number]): boolean => {
    const difference = countOf(first) - countOf(second);
    if (than === 'equal') return difference === 0;
    return than === 'more' ? difference > 0 : difference < 0;
  };
  const [right, wrong] = [pairs.filter(holds), pairs.filter((pair) => !holds(pair))];
  // Asked only of scenes that have both, or "are there more …?" would mostly be answered with no.
  if (right.length === 0 || wrong.length === 0) return undefined;
  const isTrue = random() < 0.5;
  const pair = pick(isTrue ? right : wrong, random);
  const [first, second]: Filter[] = [{ [attribute]: pair.first }, { [attribute]: pair.second }];
  const [words, conjunction] = than === 'equal' ? ['as many', 'as'] : [than, 'than'];
  return {
    text: `are there ${words} ${nounsOf(first!)} ${conjunction} ${nounsOf(second!)}?`,
    answer: isTrue ? 'yes' : 'no',
    program: { op: 'compare', than, first: first!, second: second! },
  };
};

/** "is the red circle left of the blue square?" */
export const askRelate: Asker = (scene, random) => {
  const [subject, object] = shuffledObjects(scene, random);
  if (object === undefined) return undefined;
  const relation = shuffled(RELATIONS, random).find((candidate) => isRelated(subject!, candidate, object) === true);
  if (relation === undefined) return undefined;
  const [subjectFilter, objectFilter] = [subject!, object].map((one) => describeUniquely(scene, one, ['size'], random));
  if (subjectFilter === undefined || objectFilter === undefined) return undefined;
  const isTrue = random() < 0.5;
  const asked = isTrue ? relation : OPPOSITE[relation];
  return {
    text: `is the ${nounOf(subjectFilter)} ${asked} the ${nounOf(objectFilter)}?`,
    answer: isTrue ? 'yes' : 'no',
    program: { op: 'relate', relation: asked, subject: subjectFilter, object: objectFilter },
  };
};

const VERIFY_SHARES: Readonly<Record<Attribute, number>> = { color: 50, texture: 22, shape: 14, size: 14 };

/** "is the circle red?", "is the red object a circle?" */
export const askVerify: Asker = (scene, random) => {
  const attribute = pickWeighted(VERIFY_SHARES, random);
  const object = pick(scene.objects, random);
  const filter = describeUniquely(scene, object, [attribute], random);
  if (filter === undefined) return undefined;
  const isTrue = random() < 0.5;
  const wrong = valuesOf(attribute, scene.domain).filter(
    (value) => value !== object[attribute] && isPossible({ ...filter, [attribute]: value }, scene.domain),
  );
  // Colours of other objects in the image are the hard ones.
  const present = wrong.filter((value) => scene.objects.some((other) => other[attribute] === value));
  const value = isTrue ? object[attribute] : pick(present.length > 0 && random() < 0.6 ? present : wrong, random);
  const said = attribute === 'shape' ? `${article(value)} ${value}` : value;
  return {
    text: `is the ${nounOf(filter)} ${said}?`,
    answer: isTrue ? 'yes' : 'no',
    program: { op: 'verify', attribute, value, of: { filter } },
  };
};
