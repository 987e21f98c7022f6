import type { SceneObject } from './scene.ts';

/** Where one object lies, seen from another. */
export const RELATIONS = ['left of', 'right of', 'above', 'below'] as const;
export type Relation = (typeof RELATIONS)[number];

/** Centres that differ by this share of the side (23 px of 128) lie clearly beside each other; texts use only such pairs. */
export const CLEAR_DISTANCE = 0.18;

/** Objects whose edges are this near to each other are "next to" each other (15 px of 128). */
const NEAR_GAP = 0.12;

/** How far `object` lies from `other` in the relation's direction; below 0 it lies on the other side. */
function distanceAlong(object: SceneObject, relation: Relation, other: SceneObject): number {
  switch (relation) {
    case 'left of':
      return other.x - object.x;
    case 'right of':
      return object.x - other.x;
    case 'above':
      return other.y - object.y;
    case 'below':
      return object.y - other.y;
  }
}

/** True, false, or `undefined` where the centres are too close along that axis to say. */
export function isRelated(object: SceneObject, relation: Relation, other: SceneObject): boolean | undefined {
  const distance = distanceAlong(object, relation, other);
  return Math.abs(distance) < CLEAR_DISTANCE ? undefined : distance > 0;
}

/** The relation a person would name: along the axis on which the two are clearly farther apart, or `undefined`. */
export function mainRelation(object: SceneObject, other: SceneObject): Relation | undefined {
  const across = Math.abs(object.x - other.x);
  const down = Math.abs(object.y - other.y);
  if (Math.max(across, down) < CLEAR_DISTANCE || Math.max(across, down) < 1.5 * Math.min(across, down)) return undefined;
  return RELATIONS.find((relation) => distanceAlong(object, relation, other) === Math.max(across, down));
}

/** True when little lies between the edges of two objects. */
export function isNextTo(object: SceneObject, other: SceneObject): boolean {
  return Math.hypot(object.x - other.x, object.y - other.y) - object.radius - other.radius < NEAR_GAP;
}

/** The relation seen from the other side. */
export const OPPOSITE: Readonly<Record<Relation, Relation>> = {
  'left of': 'right of',
  'right of': 'left of',
  above: 'below',
  below: 'above',
};
