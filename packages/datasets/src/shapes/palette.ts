/** Red, green and blue, 0–255. */
export type Rgb = readonly [red: number, green: number, blue: number];

/** Colours of objects, by the word that texts use for them. */
export type Color = 'red' | 'orange' | 'yellow' | 'green' | 'cyan' | 'blue' | 'purple' | 'pink' | 'brown';

/** What is behind the objects, by the word that texts use for it. */
export type Background = 'white' | 'gray' | 'black' | 'sandy' | 'mint';

/** Colours of objects, far from each other and from every background (the test has the distances). */
export const COLORS: Readonly<Record<Color, Rgb>> = {
  red: [214, 40, 40],
  orange: [247, 132, 24],
  yellow: [250, 216, 24],
  green: [38, 152, 62],
  cyan: [24, 188, 214],
  blue: [40, 80, 220],
  purple: [136, 50, 180],
  pink: [246, 128, 186],
  brown: [140, 86, 44],
};

/** Colours of backgrounds, in the middle of the image. */
export const BACKGROUNDS: Readonly<Record<Background, Rgb>> = {
  white: [240, 240, 238],
  gray: [134, 136, 140],
  black: [26, 26, 30],
  sandy: [214, 192, 156],
  mint: [190, 230, 208],
};

/** Shapes of every domain. */
export const KNOWN_SHAPES = ['circle', 'square', 'triangle', 'star', 'cross', 'ring', 'heart', 'diamond'] as const;
/** Shapes that only out-of-domain scenes have. */
export const UNSEEN_SHAPES = ['crescent', 'arrow', 'hexagon'] as const;

export type Shape = (typeof KNOWN_SHAPES)[number] | (typeof UNSEEN_SHAPES)[number];

export const SIZES = ['small', 'large'] as const;
export type Size = (typeof SIZES)[number];

export const TEXTURES = ['plain', 'striped', 'dotted'] as const;
export type Texture = (typeof TEXTURES)[number];

export const COLOR_NAMES: readonly Color[] = Object.keys(COLORS) as Color[];
export const BACKGROUND_NAMES: readonly Background[] = Object.keys(BACKGROUNDS) as Background[];

/**
 * Colour–shape pairs that no in-domain scene has: 7 of 72, at most one for each colour and each shape, so that a model meets
 * each of the two words and never both.
 */
export const UNSEEN_PAIRS: readonly (readonly [Color, Shape])[] = [
  ['red', 'star'],
  ['orange', 'ring'],
  ['yellow', 'square'],
  ['green', 'heart'],
  ['blue', 'triangle'],
  ['purple', 'diamond'],
  ['pink', 'cross'],
];

const UNSEEN_PAIR_NAMES: ReadonlySet<string> = new Set(UNSEEN_PAIRS.map(([color, shape]) => `${color} ${shape}`));

/** True when the pair is one of {@link UNSEEN_PAIRS}. */
export function isUnseenPair(color: Color, shape: Shape): boolean {
  return UNSEEN_PAIR_NAMES.has(`${color} ${shape}`);
}

/** True when the shape is one of {@link UNSEEN_SHAPES}. */
export function isUnseenShape(shape: Shape): boolean {
  return (UNSEEN_SHAPES as readonly Shape[]).includes(shape);
}
