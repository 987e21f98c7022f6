import type { Random } from '@blip2/core';
import {
  type Background,
  BACKGROUND_NAMES,
  type Color,
  COLOR_NAMES,
  isUnseenPair,
  KNOWN_SHAPES,
  type Shape,
  type Size,
  type Texture,
  TEXTURES,
  UNSEEN_PAIRS,
  UNSEEN_SHAPES,
} from './palette.ts';
import { pick, pickWeighted, type SceneKey, sceneRandom, shuffled } from './random.ts';

/**
 * As in NoCaps: `in` has what training scenes have, `near` at least one colour–shape pair that they lack, `out` at least one
 * shape that they lack.
 */
export type Domain = 'in' | 'near' | 'out';

/** One object. Lengths and places are shares of the image's side; y grows downwards. */
export interface SceneObject {
  readonly shape: Shape;
  readonly color: Color;
  readonly size: Size;
  readonly texture: Texture;
  /** Centre. */
  readonly x: number;
  readonly y: number;
  /** The object lies within this distance of its centre, but for the corners of squares and triangles (10 % more). */
  readonly radius: number;
  /** Turned clockwise by so many radians; small, so that a square never looks like a diamond. */
  readonly angle: number;
  /** The colour is lightened (above 0) or darkened by this share. */
  readonly shade: number;
}

/** What an image shows, and all that is needed to draw it. */
export interface Scene {
  readonly domain: Domain;
  readonly background: Background;
  /** The background grows lighter in this direction, in radians. */
  readonly gradientAngle: number;
  /** By how much from the middle to the edge, as a share. */
  readonly gradient: number;
  /** Seeds the noise of the pixels. */
  readonly noiseSeed: number;
  /** One to five, in no order. */
  readonly objects: readonly SceneObject[];
}

export interface DrawSceneOptions {
  /** @default 'in' */
  readonly domain?: Domain;
}

/** Few single objects: their captions would fit several scenes of a thousand. */
const OBJECT_COUNTS = { 1: 8, 2: 22, 3: 28, 4: 25, 5: 17 } as const;

/** Radii as shares of the side: at 128 px small objects have 12–13.3 px, large ones 18.5–20.5. */
const RADII: Readonly<Record<Size, readonly [number, number]>> = { small: [0.094, 0.104], large: [0.145, 0.16] };
const EDGE_MARGIN = 0.02;
const OBJECT_GAP = 0.035;
const MAX_ANGLE = Math.PI / 10;

/** How likely an object repeats a colour, a shape, or both of one that is there: there must be something to count. */
const REPEATS = { none: 58, color: 16, shape: 16, both: 10 } as const;

/** The traits that words name. */
type Traits = Pick<SceneObject, 'shape' | 'color' | 'size' | 'texture'>;

/**
 * Draws one scene of the shapes world.
 *
 * @param source - The scene's seed and index, which always give the same scene, or a generator to draw from.
 * @param options.domain - @default 'in'
 *
 * @example
 * const scene = drawScene({ seed: 1, index: 42 });
 */
export function drawScene(source: SceneKey | Random, { domain = 'in' }: DrawSceneOptions = {}): Scene {
  const random = typeof source === 'function' ? source : sceneRandom(source, domain);
  const background = pick(BACKGROUND_NAMES, random);
  const count = Number(pickWeighted(OBJECT_COUNTS as Record<string, number>, random));
  const traits: Traits[] = [];
  for (let index = 0; index < count; index++) traits.push(drawTraits(traits, index === 0 ? domain : 'in', random));
  return {
    domain,
    background,
    gradientAngle: random() * 2 * Math.PI,
    gradient: 0.02 + 0.06 * random(),
    noiseSeed: Math.floor(random() * 0x1_0000_0000),
    objects: placeObjects(shuffled(traits, random), random),
  };
}

function drawTraits(present: readonly Traits[], domain: Domain, random: Random): Traits {
  const [color, shape] = drawPair(present, domain, random);
  return { color, shape, size: random() < 0.5 ? 'small' : 'large', texture: pick(TEXTURES, random) };
}

/** The first object of a scene makes its domain; the others come from what training knows, or repeat it. */
function drawPair(present: readonly Traits[], domain: Domain, random: Random): readonly [Color, Shape] {
  if (domain === 'near') return pick(UNSEEN_PAIRS, random);
  if (domain === 'out') return [pick(COLOR_NAMES, random), pick(UNSEEN_SHAPES, random)];
  for (;;) {
    const repeat = present.length === 0 ? 'none' : pickWeighted(REPEATS, random);
    const model = repeat === 'none' ? undefined : pick(present, random);
    const color = repeat === 'color' || repeat === 'both' ? model!.color : pick(COLOR_NAMES, random);
    const shape = repeat === 'shape' || repeat === 'both' ? model!.shape : pick(KNOWN_SHAPES, random);
    // Repeating both parts of an unseen pair adds no other unseen pair.
    if (repeat === 'both' || !isUnseenPair(color, shape)) return [color, shape];
  }
}

function placeObjects(traits: readonly Traits[], random: Random): SceneObject[] {
  let sizes = traits.map(({ size }) => size);
  for (let attempt = 1; ; attempt++) {
    const placed = tryPlaces(sizes, random);
    if (placed !== undefined) {
      return traits.map((trait, index) => ({
        ...trait,
        size: sizes[index]!,
        ...placed[index]!,
        angle: random() < 0.5 ? 0 : (2 * random() - 1) * MAX_ANGLE,
        shade: 0.1 * (2 * random() - 1),
      }));
    }
    // Five large objects fit, but not into most first guesses: after many of them one becomes small.
    if (attempt % 40 === 0) sizes = sizes.with(sizes.indexOf('large'), 'small');
  }
}

function tryPlaces(sizes: readonly Size[], random: Random): Pick<SceneObject, 'x' | 'y' | 'radius'>[] | undefined {
  const placed: Pick<SceneObject, 'x' | 'y' | 'radius'>[] = [];
  for (const size of sizes) {
    const [least, most] = RADII[size];
    const radius = least + (most - least) * random();
    const room = 1 - 2 * (radius + EDGE_MARGIN);
    let place: Pick<SceneObject, 'x' | 'y' | 'radius'> | undefined;
    for (let attempt = 0; attempt < 25 && place === undefined; attempt++) {
      const x = radius + EDGE_MARGIN + room * random();
      const y = radius + EDGE_MARGIN + room * random();
      if (placed.every((other) => Math.hypot(other.x - x, other.y - y) >= other.radius + radius + OBJECT_GAP)) {
        place = { x, y, radius };
      }
    }
    if (place === undefined) return undefined;
    placed.push(place);
  }
  return placed;
}
