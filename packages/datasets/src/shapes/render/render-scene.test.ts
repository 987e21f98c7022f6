import type { RgbImage } from '@blip2/image';
import { expect, test } from 'vitest';
import { BACKGROUNDS, COLOR_NAMES, COLORS, KNOWN_SHAPES, type Shape, UNSEEN_SHAPES } from '../palette.ts';
import { drawScene, type Scene, type SceneObject } from '../scene.ts';
import { DISTANCES } from './distances.ts';
import { renderScene } from './render-scene.ts';

const SHAPES: readonly Shape[] = [...KNOWN_SHAPES, ...UNSEEN_SHAPES];
const object: SceneObject = {
  shape: 'circle',
  color: 'red',
  size: 'large',
  texture: 'plain',
  x: 0.5,
  y: 0.5,
  radius: 0.15,
  angle: 0,
  shade: 0,
};
const scene = (overrides: Partial<SceneObject>, background: Scene['background'] = 'white'): Scene => ({
  domain: 'in',
  background,
  gradient: 0.05,
  gradientAngle: 1,
  noiseSeed: 12345,
  objects: [{ ...object, ...overrides }],
});

/** Mean over a square of 3×3 pixels. */
function pixelAt({ data, width }: RgbImage, x: number, y: number): number[] {
  return [0, 1, 2].map((channel) => {
    let sum = 0;
    for (let dy = -1; dy <= 1; dy++) {
      for (let dx = -1; dx <= 1; dx++) sum += data[((Math.floor(y) + dy) * width + Math.floor(x) + dx) * 3 + channel]!;
    }
    return sum / 9;
  });
}

function distance(first: readonly number[], second: readonly number[]): number {
  return Math.hypot(...first.map((value, index) => value - second[index]!));
}

test('objects and background have their colours, at every size', () => {
  for (const size of [64, 128, 224]) {
    for (const color of COLOR_NAMES) {
      const image = renderScene(scene({ color }), { size });
      expect(image.data).toHaveLength(size * size * 3);
      expect(distance(pixelAt(image, size / 2, size / 2), COLORS[color])).toBeLessThan(8);
      expect(distance(pixelAt(image, size * 0.2, size * 0.2), BACKGROUNDS.white)).toBeLessThan(20);
    }
  }
});

test('the same scene gives the same bytes, another noise seed others', () => {
  const drawn = drawScene({ seed: 1, index: 5 });
  const image = renderScene(drawn);
  expect(renderScene(drawn).data).toEqual(image.data);
  expect(renderScene({ ...drawn, noiseSeed: drawn.noiseSeed + 2 }).data).not.toEqual(image.data);
});

test('marks of the textures show on every colour, on small objects as well', () => {
  for (const color of COLOR_NAMES) {
    const far = (['plain', 'striped', 'dotted'] as const).map((texture) => {
      const { data, width } = renderScene(scene({ color, texture, shape: 'square', radius: 0.098, size: 'small' }));
      let marked = 0;
      // The square's inside, without its outline: 15 × 15 pixels.
      for (let y = 57; y < 72; y++) {
        for (let x = 57; x < 72; x++)
          marked += Number(distance([...data.subarray((y * width + x) * 3).subarray(0, 3)], COLORS[color]) > 80);
      }
      return marked / 15 ** 2;
    });
    expect(far[0]).toBe(0);
    expect(far[1]).toBeGreaterThan(0.25);
    expect(far[1]).toBeLessThan(0.6);
    expect(far[2]).toBeGreaterThan(0.2);
    expect(far[2]).toBeLessThan(0.55);
  }
});

test('shapes lie within their radius, and fill enough of it to be seen', () => {
  for (const shape of SHAPES) {
    let inside = 0;
    let reach = 0;
    for (let y = -1.2; y <= 1.2; y += 0.02) {
      for (let x = -1.2; x <= 1.2; x += 0.02) {
        if (DISTANCES[shape](x, y) >= 0) continue;
        inside++;
        reach = Math.max(reach, Math.hypot(x, y));
      }
    }
    expect(reach, shape).toBeLessThan(1.1);
    expect(reach, shape).toBeGreaterThan(0.85);
    expect((inside * 0.02 ** 2) / Math.PI, shape).toBeGreaterThan(0.25);
  }
});

test('no two shapes look alike', () => {
  const silhouettes = SHAPES.map((shape) => {
    const points: boolean[] = [];
    for (let y = -1; y <= 1; y += 0.05) for (let x = -1; x <= 1; x += 0.05) points.push(DISTANCES[shape](x, y) < 0);
    return points;
  });
  for (const [index, first] of silhouettes.entries()) {
    for (const second of silhouettes.slice(index + 1)) {
      const both = first.filter((isInside, at) => isInside && second[at]).length;
      const either = first.filter((isInside, at) => isInside || second[at]).length;
      expect(both / either).toBeLessThan(0.93);
    }
  }
});

test('a side that is too small is refused', () => {
  expect(() => renderScene(scene({}), { size: 16 })).toThrowErrorMatchingInlineSnapshot(
    `[InputError: renderScene: size is 16, expected a whole number of pixels, 32 or more: smaller objects lose their texture. Pass 128.]`,
  );
});
