import { InputError, type Random } from '@blip2/core';
import { article, countWord, joinList, plural } from './grammar.ts';
import { pickWeighted } from './random.ts';
import { isNextTo, mainRelation } from './relations.ts';
import type { Scene, SceneObject } from './scene.ts';

/** What one caption tells besides colours and shapes. */
interface CaptionPlan {
  readonly tellSize: boolean;
  readonly tellTexture: boolean;
  readonly tellBackground: boolean;
  readonly tellRelation: boolean;
  readonly order: keyof typeof ORDERS;
}

/** Objects that one phrase names together. */
type Group = readonly SceneObject[];

/** People read from left to right; a model has a most likely order to learn. */
const ORDER_SHARES = { left: 65, top: 20, large: 15 } as const;

const ORDERS = {
  left: (object: SceneObject) => object.x,
  top: (object: SceneObject) => object.y,
  large: (object: SceneObject) => (object.size === 'large' ? 0 : 1) + object.x / 10,
} as const satisfies Readonly<Record<string, (object: SceneObject) => number>>;

/** How likely size, texture and background are told, by the number of objects: little to see is told in full. */
const DETAIL_SHARES: readonly { readonly size: number; readonly texture: number; readonly background: number }[] = [
  { size: 0.8, texture: 0.9, background: 0.8 },
  { size: 0.6, texture: 0.7, background: 0.6 },
  { size: 0.45, texture: 0.55, background: 0.5 },
  { size: 0.35, texture: 0.45, background: 0.45 },
  { size: 0.25, texture: 0.35, background: 0.4 },
];

/** The longest caption, in words: what LAVIS generates at most is 30 tokens. */
const MOST_WORDS = 30;

/**
 * Captions as different people would write them: each names every object by its colour and shape ("two red circles" for equal
 * ones); order, details and wording vary. Lower case, no full stop, at most 30 words.
 *
 * @param random - Where the variety comes from; `sceneRandom(key, 'captions')` makes it a part of the world.
 * @param count - How many; they differ from each other where the scene allows it. @default 5
 * @throws {InputError} when `count` is not a whole number of at least 1.
 *
 * @example
 * const [caption] = describeScene(scene, sceneRandom({ seed: 1, index: 0 }, 'captions'), 1);
 */
export function describeScene(scene: Scene, random: Random, count: number = 5): string[] {
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new InputError(`describeScene: count is ${count}, expected a whole number, 1 or more. Leave it out for 5.`);
  }
  const captions = new Set<string>();
  for (let attempt = 0; captions.size < count && attempt < 10 * count; attempt++) captions.add(writeCaption(scene, random));
  const different = [...captions];
  // A scene has hundreds of captions; only a caller who asks for that many gets some of them twice.
  return Array.from({ length: count }, (_, index) => different[index % different.length]!);
}

function writeCaption(scene: Scene, random: Random): string {
  let plan = drawPlan(scene, random);
  const wording = random();
  for (;;) {
    const caption = wordCaption(scene, plan, wording);
    if (caption.split(' ').length <= MOST_WORDS) return caption;
    plan = withLess(plan);
  }
}

function drawPlan({ objects }: Scene, random: Random): CaptionPlan {
  const shares = DETAIL_SHARES[objects.length - 1]!;
  return {
    tellSize: random() < shares.size,
    tellTexture: random() < shares.texture,
    tellBackground: random() < shares.background,
    tellRelation: objects.length > 1 && random() < (objects.length === 2 ? 0.6 : 0.3),
    order: pickWeighted(ORDER_SHARES, random),
  };
}

/** Leaves one detail out. Colours and shapes of five objects alone have at most 23 words. */
function withLess(plan: CaptionPlan): CaptionPlan {
  if (plan.tellSize) return { ...plan, tellSize: false };
  if (plan.tellTexture) return { ...plan, tellTexture: false };
  if (plan.tellRelation) return { ...plan, tellRelation: false };
  return { ...plan, tellBackground: false };
}

function wordCaption({ objects, background }: Scene, plan: CaptionPlan, wording: number): string {
  const key = ORDERS[plan.order];
  const groups = groupEqual([...objects].toSorted((first, second) => key(first) - key(second)));
  const list = wordGroups(groups, plan);
  const ground = plan.tellBackground ? ` on ${article(background)} ${background} background` : '';
  if (wording < 0.6) return list + ground;
  if (wording < 0.72) return `a picture of ${list}${ground}`;
  if (wording < 0.8) return `an image of ${list}${ground}`;
  if (wording < 0.92 || !plan.tellBackground) return `there ${groups[0]!.length > 1 ? 'are' : 'is'} ${list}${ground}`;
  return `${article(background)} ${background} background with ${list}`;
}

/** Objects of the same colour and shape, each group at the place of its first. */
function groupEqual(objects: readonly SceneObject[]): Group[] {
  const groups = new Map<string, SceneObject[]>();
  for (const object of objects) {
    const name = `${object.color} ${object.shape}`;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [object]);
    else group.push(object);
  }
  return [...groups.values()];
}

function wordGroups(groups: readonly Group[], plan: CaptionPlan): string {
  const phrases = groups.map((group) => wordGroup(group, plan));
  const relation = plan.tellRelation ? wordRelation(groups) : undefined;
  if (relation === undefined) return joinList(phrases);
  const [first, second, ...others] = phrases;
  const related = `${first} ${relation} ${second}`;
  return others.length === 0 ? related : `${related}, with ${joinList(others)}`;
}

/** How the first object lies to the second, where that is clear and each is alone. */
function wordRelation([first, second]: readonly Group[]): string | undefined {
  if (first?.length !== 1 || second?.length !== 1) return undefined;
  const relation = mainRelation(first[0]!, second[0]!);
  // "next to" is for what is near and neither clearly beside nor clearly above.
  return relation ?? (isNextTo(first[0]!, second[0]!) ? 'next to' : undefined);
}

/** "a large striped red circle", "two red circles"; a group has details only where all its objects share them. */
function wordGroup(group: Group, { tellSize, tellTexture }: CaptionPlan): string {
  const [{ size, texture, color, shape }] = group as readonly [SceneObject];
  const words: string[] = [];
  if (tellSize && group.every((object) => object.size === size)) words.push(size);
  // Plain is what nobody mentions.
  if (tellTexture && texture !== 'plain' && group.every((object) => object.texture === texture)) words.push(texture);
  words.push(color, group.length > 1 ? plural(shape) : shape);
  return `${group.length > 1 ? countWord(group.length) : article(words[0]!)} ${words.join(' ')}`;
}
