import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BACKGROUND_NAMES, COLOR_NAMES, isUnseenPair, isUnseenShape, KNOWN_SHAPES } from './palette.ts';
import { sceneRandom } from './random.ts';
import { type Domain, drawScene, type Scene } from './scene.ts';

const key = fc.record({ seed: fc.integer(), index: fc.nat() });
const domains: readonly Domain[] = ['in', 'near', 'out'];

test('a scene is decided by seed, index and domain', () => {
  fc.assert(
    fc.property(key, fc.constantFrom(...domains), (source, domain) => {
      expect(drawScene(source, { domain })).toEqual(drawScene({ ...source }, { domain }));
      expect(drawScene(sceneRandom(source, domain), { domain })).toEqual(drawScene(source, { domain }));
    }),
  );
  expect(drawScene({ seed: 1, index: 0 })).toEqual(drawScene({ seed: 1, index: 0 }, { domain: 'in' }));
});

test('objects are inside the image and apart from each other', () => {
  fc.assert(
    fc.property(key, fc.constantFrom(...domains), (source, domain) => {
      const { objects } = drawScene(source, { domain });
      expect(objects.length).toBeGreaterThanOrEqual(1);
      expect(objects.length).toBeLessThanOrEqual(5);
      for (const [index, { x, y, radius, size }] of objects.entries()) {
        expect(Math.min(x, y, 1 - x, 1 - y)).toBeGreaterThan(radius);
        expect(radius * 128).toBeGreaterThan(size === 'small' ? 12 : 18);
        expect(radius * 128).toBeLessThan(size === 'small' ? 13.5 : 21);
        for (const other of objects.slice(index + 1)) {
          expect(Math.hypot(x - other.x, y - other.y)).toBeGreaterThan(radius + other.radius + 0.03);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('domains keep their rules', () => {
  for (let index = 0; index < 2000; index++) {
    const pairs = (domain: Domain) => drawScene({ seed: 9, index }, { domain }).objects;
    expect(pairs('in').some(({ color, shape }) => isUnseenPair(color, shape) || isUnseenShape(shape))).toBe(false);
    expect(pairs('near').some(({ shape }) => isUnseenShape(shape))).toBe(false);
    expect(pairs('near').some(({ color, shape }) => isUnseenPair(color, shape))).toBe(true);
    expect(pairs('out').some(({ shape }) => isUnseenShape(shape))).toBe(true);
  }
});

test('worlds of neighbouring seeds share no scene, nor do they correlate', () => {
  const worlds = [0, 1, 2].map((seed) => Array.from({ length: 2000 }, (_, index) => drawScene({ seed, index })));
  expect(new Set(worlds.flat().map((scene) => JSON.stringify(scene))).size).toBe(6000);
  for (const [first, second, shift] of [
    [0, 1, 0],
    [1, 2, 0],
    [0, 1, 1],
    [0, 0, 1],
  ] as const) {
    const pairs = Array.from({ length: 1999 }, (_, index) => [worlds[first]![index + shift]!, worlds[second]![index]!] as const);
    const same = (what: (scene: Scene) => unknown): number =>
      pairs.filter(([one, other]) => what(one) === what(other)).length / pairs.length;
    // Five standard deviations about what chance gives.
    expect(Math.abs(same(({ background }) => background) - 1 / 5)).toBeLessThan(0.045);
    expect(Math.abs(same(({ objects }) => objects[0]!.color) - 1 / 9)).toBeLessThan(0.036);
    expect(Math.abs(same(({ objects }) => objects[0]!.texture) - 1 / 3)).toBeLessThan(0.053);
  }
});

test('every colour, shape, background, size and texture is about as frequent as the others', () => {
  const scenes = Array.from({ length: 3000 }, (_, index) => drawScene({ seed: 4, index }));
  const objects = scenes.flatMap((scene) => scene.objects);
  const share = (what: (object: (typeof objects)[number]) => boolean): number => objects.filter(what).length / objects.length;
  for (const color of COLOR_NAMES) expect(share((object) => object.color === color)).toBeCloseTo(1 / 9, 1.5);
  for (const shape of KNOWN_SHAPES) expect(share((object) => object.shape === shape)).toBeCloseTo(1 / 8, 1.5);
  expect(share(({ size }) => size === 'small')).toBeCloseTo(0.5, 1);
  expect(share(({ texture }) => texture === 'striped')).toBeCloseTo(1 / 3, 1.5);
  for (const background of BACKGROUND_NAMES) {
    expect(scenes.filter((scene) => scene.background === background).length / 3000).toBeCloseTo(1 / 5, 1.5);
  }
  expect(objects.length / 3000).toBeCloseTo(3.21, 1);
});
