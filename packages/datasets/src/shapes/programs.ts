import { InputError } from '@blip2/core';
import type { Color, Shape, Size, Texture } from './palette.ts';
import { isRelated, type Relation } from './relations.ts';
import type { Scene, SceneObject } from './scene.ts';

/** Objects that have all of these. Empty: all objects. */
export interface Filter {
  readonly color?: Color;
  readonly shape?: Shape;
  readonly size?: Size;
  readonly texture?: Texture;
}

/** Which one object is meant. */
export interface Selector {
  readonly filter: Filter;
  /** Only objects that lie so to the one object that `to` finds. */
  readonly relative?: { readonly relation: Relation; readonly to: Filter };
}

export type Attribute = 'color' | 'shape' | 'size' | 'texture';

/** How an answer follows from a scene. */
export type Program =
  /** Is there an object like this? */
  | { readonly op: 'exist'; readonly filter: Filter }
  /** How many are there? */
  | { readonly op: 'count'; readonly filter: Filter }
  /** Are there more or fewer of the first than of the second, or as many? */
  | { readonly op: 'compare'; readonly than: 'more' | 'fewer' | 'equal'; readonly first: Filter; readonly second: Filter }
  /** Does the one object lie so to the other one? */
  | { readonly op: 'relate'; readonly relation: Relation; readonly subject: Filter; readonly object: Filter }
  /** Has the one object this value? */
  | { readonly op: 'verify'; readonly attribute: Attribute; readonly value: string; readonly of: Selector }
  /** Which value has it? */
  | { readonly op: 'query'; readonly attribute: Attribute; readonly of: Selector }
  /** Which of two values has it? GQA only. */
  | { readonly op: 'choose'; readonly attribute: Attribute; readonly options: readonly [string, string]; readonly of: Selector }
  /** Are there both, or is there at least one? GQA only. */
  | { readonly op: 'logical'; readonly how: 'and' | 'or'; readonly first: Filter; readonly second: Filter }
  /** Have the two objects the same value? GQA only. */
  | { readonly op: 'same'; readonly attribute: Attribute; readonly first: Filter; readonly second: Filter }
  /** What is behind all objects? */
  | { readonly op: 'background' };

/** True when the object has everything that the filter names. */
export function matches(object: SceneObject, filter: Filter): boolean {
  return (Object.entries(filter) as [Attribute, string][]).every(([attribute, value]) => object[attribute] === value);
}

/**
 * Answers a question from the scene, step by step; the texts of questions are not looked at.
 *
 * @returns the answer as VQAv2 writes it: `yes`, `2`, `red`.
 * @throws {InputError} when a program speaks of "the" object and there is none, or several, or when two objects lie too close
 * along an axis to be left of, or above, one another.
 *
 * @example
 * answerProgram(scene, { op: 'count', filter: { color: 'red' } }); // '2'
 */
export function answerProgram(scene: Scene, program: Program): string {
  switch (program.op) {
    case 'exist':
      return yesOrNo(scene.objects.some((object) => matches(object, program.filter)));
    case 'count':
      return String(countOf(scene, program.filter));
    case 'compare': {
      const difference = countOf(scene, program.first) - countOf(scene, program.second);
      if (program.than === 'equal') return yesOrNo(difference === 0);
      return yesOrNo(program.than === 'more' ? difference > 0 : difference < 0);
    }
    case 'relate':
      return yesOrNo(
        clearly(selectOne(scene, { filter: program.subject }), program.relation, selectOne(scene, { filter: program.object })),
      );
    case 'verify':
      return yesOrNo(selectOne(scene, program.of)[program.attribute] === program.value);
    case 'query':
      return selectOne(scene, program.of)[program.attribute];
    case 'choose': {
      const value = selectOne(scene, program.of)[program.attribute];
      if (program.options.includes(value)) return value;
      throw new InputError(
        `answerProgram: ${value} is to be chosen from ${program.options.join(' and ')}, expected one of the two to be right. Offer it.`,
      );
    }
    case 'logical': {
      const isThere = [program.first, program.second].map((filter) => countOf(scene, filter) > 0);
      return yesOrNo(program.how === 'and' ? isThere.every(Boolean) : isThere.some(Boolean));
    }
    case 'same': {
      const [first, second] = [program.first, program.second].map((filter) => selectOne(scene, { filter }));
      return yesOrNo(first![program.attribute] === second![program.attribute]);
    }
    case 'background':
      return scene.background;
  }
}

/** The one object that is meant. @throws {InputError} when there is none, or several. */
export function selectOne(scene: Scene, selector: Selector): SceneObject {
  const { filter, relative } = selector;
  let found = scene.objects.filter((object) => matches(object, filter));
  if (relative !== undefined) {
    const anchor = selectOne(scene, { filter: relative.to });
    found = found.filter((object) => object !== anchor && clearly(object, relative.relation, anchor));
  }
  if (found.length === 1) return found[0]!;
  throw new InputError(
    `answerProgram: ${found.length} objects fit ${JSON.stringify(selector)}, expected exactly one. Ask of something that is there once.`,
  );
}

function countOf({ objects }: Scene, filter: Filter): number {
  return objects.filter((object) => matches(object, filter)).length;
}

function clearly(object: SceneObject, relation: Relation, other: SceneObject): boolean {
  const related = isRelated(object, relation, other);
  if (related !== undefined) return related;
  throw new InputError(
    `answerProgram: the ${object.color} ${object.shape} is neither clearly ${relation} the ${other.color} ${other.shape} nor ` +
      `clearly not; expected centres at least 0.18 of the side apart along that axis. Ask of another pair.`,
  );
}

function yesOrNo(value: boolean): 'yes' | 'no' {
  return value ? 'yes' : 'no';
}
