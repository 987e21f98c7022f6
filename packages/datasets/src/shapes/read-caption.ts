import { countWord, plural } from './grammar.ts';
import {
  type Background,
  BACKGROUND_NAMES,
  COLOR_NAMES,
  KNOWN_SHAPES,
  type Shape,
  SIZES,
  TEXTURES,
  UNSEEN_SHAPES,
} from './palette.ts';
import { type Filter, matches } from './programs.ts';
import { isNextTo, isRelated, type Relation } from './relations.ts';
import type { Scene, SceneObject } from './scene.ts';

/** What a caption says. */
export interface CaptionClaims {
  /** Its phrases: "two small red circles" is `{ count: 2, filter: { size, color, shape } }`. */
  readonly mentions: readonly { readonly count: number; readonly filter: Filter }[];
  /** How the first mention lies to the second. */
  readonly relation?: Relation | 'next to';
  readonly background?: Background;
}

const SHAPE_OF: ReadonlyMap<string, Shape> = new Map(
  [...KNOWN_SHAPES, ...UNSEEN_SHAPES].flatMap((shape) => [
    [shape, shape],
    [plural(shape), shape],
  ]),
);
const COUNT_OF: ReadonlyMap<string, number> = new Map([
  ['a', 1],
  ['an', 1],
  ...[2, 3, 4, 5].map((count): [string, number] => [countWord(count), count]),
]);
const MENTION = new RegExp(
  `^(${[...COUNT_OF.keys()].join('|')})(?: (${SIZES.join('|')}))?(?: (${TEXTURES.join('|')}))? (${COLOR_NAMES.join('|')}) (${[...SHAPE_OF.keys()].join('|')})$`,
);
const GROUND = `an? (${BACKGROUND_NAMES.join('|')}) background`;
const OPENING = new RegExp(`^(?:a picture of |an image of |there is |there are |${GROUND} with )`);
const CLOSING = new RegExp(` on ${GROUND}$`);
const RELATION = / (left of|right of|above|below|next to) /;

/**
 * Reads a caption in the language of `describeScene`.
 *
 * @returns what it says, or `undefined` for a text that is not of that language, as a model may write one.
 *
 * @example
 * readCaption('a red circle above two blue squares'); // { mentions: [{ count: 1, … }, { count: 2, … }], relation: 'above' }
 */
export function readCaption(caption: string): CaptionClaims | undefined {
  const opening = OPENING.exec(caption);
  const rest = caption.slice(opening?.[0].length ?? 0);
  const closing = CLOSING.exec(rest);
  const list = rest.slice(0, closing?.index);
  const background = (opening?.[1] ?? closing?.[1]) as Background | undefined;
  const relation = RELATION.exec(list)?.[1] as CaptionClaims['relation'];
  const phrases = list.replace(RELATION, ', ').split(/, with |, | and /);
  const mentions: { count: number; filter: Filter }[] = [];
  for (const phrase of phrases) {
    const words = MENTION.exec(phrase);
    if (words === null) return undefined;
    const [, count, size, texture, color, shape] = words;
    const told = Object.entries({ color, shape: SHAPE_OF.get(shape!), size, texture }).filter(([, value]) => value !== undefined);
    mentions.push({ count: COUNT_OF.get(count!)!, filter: Object.fromEntries(told) });
  }
  return { mentions, ...(relation && { relation }), ...(background && { background }) };
}

/**
 * True when a caption says nothing wrong of a scene and leaves no object out: it can be read, its mentions are the scene's
 * objects, and relation and background are right where it tells them.
 *
 * @example
 * describeScene(scene, random).every((caption) => captionFits(scene, caption)); // true
 */
export function captionFits(scene: Scene, caption: string): boolean {
  const claims = readCaption(caption);
  if (claims === undefined) return false;
  if (claims.background !== undefined && claims.background !== scene.background) return false;
  const filters = claims.mentions.flatMap(({ count, filter }) => Array.from({ length: count }, () => filter));
  return filters.length === scene.objects.length && canAssign(filters, scene.objects, [], claims);
}

/** Tries every way to give each mention an object of its own; five objects have 120. */
function canAssign(
  filters: readonly Filter[],
  objects: readonly SceneObject[],
  chosen: readonly SceneObject[],
  claims: CaptionClaims,
): boolean {
  const [filter, ...others] = filters;
  if (filter === undefined) return isRelationRight(chosen, claims);
  return objects.some(
    (object) => !chosen.includes(object) && matches(object, filter) && canAssign(others, objects, [...chosen, object], claims),
  );
}

function isRelationRight(chosen: readonly SceneObject[], { relation, mentions }: CaptionClaims): boolean {
  if (relation === undefined) return true;
  if (mentions[0]?.count !== 1 || mentions[1]?.count !== 1) return false;
  const [first, second] = [chosen[0]!, chosen[1]!];
  return relation === 'next to' ? isNextTo(first, second) : isRelated(first, relation, second) === true;
}
