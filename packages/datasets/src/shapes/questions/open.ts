import type { Random } from '@blip2/core';
import { type Attribute, type Filter, matches } from '../programs.ts';
import type { Asker } from '../questions.ts';
import { pick, pickWeighted, shuffled } from '../random.ts';
import { isRelated, type Relation, RELATIONS } from '../relations.ts';
import type { Scene, SceneObject } from '../scene.ts';
import { describeUniquely, nounOf, nounsOf, shuffledObjects, valuesOf } from './phrases.ts';

/** How often each number is the answer, where the scene has something to count that often. */
const NUMBER_SHARES = [20, 24, 32, 40, 40, 40] as const;
const COUNTED_SHARES: Readonly<Record<Attribute | 'all', number>> = { all: 22, color: 30, shape: 28, texture: 12, size: 8 };

/** "how many red objects are there?" */
export const askCount: Asker = (scene, random) => {
  const counted = pickWeighted(COUNTED_SHARES, random);
  const filter = counted === 'all' ? {} : countableFilter(scene, counted, random);
  const count = scene.objects.filter((object) => matches(object, filter)).length;
  return { text: `how many ${nounsOf(filter)} are there?`, answer: String(count), program: { op: 'count', filter } };
};

/** A value of the attribute, chosen by how many objects have it: most values of a scene are there once, or not at all. */
function countableFilter(scene: Scene, attribute: Attribute, random: Random): Filter {
  const byCount = new Map<number, Filter[]>();
  for (const value of valuesOf(attribute, scene.domain)) {
    const filter: Filter = { [attribute]: value };
    const count = scene.objects.filter((object) => matches(object, filter)).length;
    byCount.set(count, [...(byCount.get(count) ?? []), filter]);
  }
  const shares = Object.fromEntries([...byCount.keys()].map((count) => [count, NUMBER_SHARES[count]!]));
  return pick(byCount.get(Number(pickWeighted(shares, random)))!, random);
}

const WORDINGS: Readonly<Record<Attribute, (noun: string) => string>> = {
  color: (noun) => `what color is the ${noun}?`,
  shape: (noun) => `what shape is the ${noun}?`,
  size: (noun) => `what size is the ${noun}?`,
  texture: (noun) => `what texture is the ${noun}?`,
};

/** "what color is the circle?" */
export function askAttribute(scene: Scene, attribute: Attribute, random: Random): ReturnType<Asker> {
  const object = pick(scene.objects, random);
  const filter = describeUniquely(scene, object, [attribute], random);
  if (filter === undefined) return undefined;
  return {
    text: WORDINGS[attribute](nounOf(filter)),
    answer: object[attribute],
    program: { op: 'query', attribute, of: { filter } },
  };
}

/** "what color is the object left of the red circle?" */
export const askRelative: Asker = (scene, random) => {
  const [target, anchor] = shuffledObjects(scene, random);
  if (anchor === undefined) return undefined;
  const to = describeUniquely(scene, anchor, ['size'], random);
  const relation = shuffled(RELATIONS, random).find((candidate) => isOnly(scene, target!, candidate, anchor));
  if (to === undefined || relation === undefined) return undefined;
  const attribute = random() < 0.5 ? 'color' : 'shape';
  return {
    text: `what ${attribute} is the object ${relation} the ${nounOf(to)}?`,
    answer: target![attribute],
    program: { op: 'query', attribute, of: { filter: {}, relative: { relation, to } } },
  };
};

/** True when `target` alone is there, and no other object is nearly there. */
function isOnly({ objects }: Scene, target: SceneObject, relation: Relation, anchor: SceneObject): boolean {
  return objects.every((object) => object === anchor || isRelated(object, relation, anchor) === (object === target));
}

/** "what color is the background?" */
export const askBackground: Asker = (scene) => ({
  text: 'what color is the background?',
  answer: scene.background,
  program: { op: 'background' },
});
