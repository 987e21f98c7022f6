import type { Random } from '@blip2/core';
import { plural } from '../grammar.ts';
import { COLOR_NAMES, isUnseenPair, isUnseenShape, KNOWN_SHAPES, SIZES, TEXTURES, UNSEEN_SHAPES } from '../palette.ts';
import { type Attribute, type Filter, matches } from '../programs.ts';
import { pick, shuffled } from '../random.ts';
import type { Domain, Scene, SceneObject } from '../scene.ts';

/** "large striped red circle"; "object" where the shape is not told. */
export function nounOf({ size, texture, color, shape }: Filter): string {
  return [size, texture, color, shape ?? 'object'].filter((word) => word !== undefined).join(' ');
}

/** "red circles", "objects". */
export function nounsOf(filter: Filter): string {
  return plural(nounOf(filter));
}

/** The attributes of an object as a filter. */
export function filterOf(object: SceneObject, attributes: readonly Attribute[]): Filter {
  return Object.fromEntries(attributes.map((attribute) => [attribute, object[attribute]]));
}

/** Ways to say which object is meant. */
const DESCRIPTIONS: readonly (readonly Attribute[])[] = [
  ['shape'],
  ['color'],
  ['color', 'shape'],
  ['size', 'shape'],
  ['texture', 'shape'],
  ['size', 'color'],
  ['texture', 'color'],
];

/** One way to describe an object that fits no other one and does not tell `hidden`; `undefined` where there is none. */
export function describeUniquely(
  scene: Scene,
  object: SceneObject,
  hidden: readonly Attribute[],
  random: Random,
): Filter | undefined {
  const unique = DESCRIPTIONS.filter((attributes) => !attributes.some((attribute) => hidden.includes(attribute)))
    .map((attributes) => filterOf(object, attributes))
    .filter((filter) => scene.objects.every((other) => other === object || !matches(other, filter)));
  if (unique.length === 0) return undefined;
  // People say no more than they must, most of the time.
  const least = Math.min(...unique.map(lengthOf));
  return pick(random() < 0.7 ? unique.filter((filter) => lengthOf(filter) === least) : unique, random);
}

function lengthOf(filter: Filter): number {
  return Object.keys(filter).length;
}

/** The values an attribute has in a domain. */
export function valuesOf(attribute: Attribute, domain: Domain): readonly string[] {
  switch (attribute) {
    case 'color':
      return COLOR_NAMES;
    case 'shape':
      return domain === 'out' ? [...KNOWN_SHAPES, ...UNSEEN_SHAPES] : KNOWN_SHAPES;
    case 'size':
      return SIZES;
    case 'texture':
      return TEXTURES;
  }
}

/** False for what the domain never has: asking for it would tell that the answer is no. */
export function isPossible({ color, shape }: Filter, domain: Domain): boolean {
  if (shape !== undefined && isUnseenShape(shape)) return domain === 'out';
  return domain !== 'in' || color === undefined || shape === undefined || !isUnseenPair(color, shape);
}

/** The objects in random order. */
export function shuffledObjects({ objects }: Scene, random: Random): SceneObject[] {
  return shuffled(objects, random);
}
