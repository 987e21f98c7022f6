import { expect, test } from 'vitest';
import { BACKGROUNDS, COLOR_NAMES, COLORS, KNOWN_SHAPES, type Rgb, UNSEEN_PAIRS } from './palette.ts';

/** "Redmean": nearer to what eyes see than the plain distance, and without tables. Black and white are 765 apart. */
function colorDistance(first: Rgb, second: Rgb): number {
  const [red, green, blue] = [0, 1, 2].map((channel) => first[channel]! - second[channel]!);
  const mean = (first[0] + second[0]) / 2;
  return Math.sqrt((2 + mean / 256) * red! ** 2 + 4 * green! ** 2 + (2 + (255 - mean) / 256) * blue! ** 2);
}

test('colours of objects are far from each other, and farther from no background than that', () => {
  const all = [...Object.entries(COLORS), ...Object.entries(BACKGROUNDS)];
  const distances = all.flatMap(([name, color], index) =>
    all
      .slice(index + 1)
      .map(([other, second]) => ({ pair: `${name}, ${other}`, distance: Math.round(colorDistance(color, second)) })),
  );
  const nearest = distances.toSorted((first, second) => first.distance - second.distance).slice(0, 4);
  expect(nearest).toMatchInlineSnapshot(`
    [
      {
        "distance": 97,
        "pair": "white, mint",
      },
      {
        "distance": 116,
        "pair": "sandy, mint",
      },
      {
        "distance": 146,
        "pair": "pink, sandy",
      },
      {
        "distance": 152,
        "pair": "red, brown",
      },
    ]
  `);
});

test('a tenth of the pairs is unseen, at most one a colour and at most one a shape', () => {
  expect(UNSEEN_PAIRS.length / (COLOR_NAMES.length * KNOWN_SHAPES.length)).toBeCloseTo(0.1, 1);
  expect(new Set(UNSEEN_PAIRS.map(([color]) => color)).size).toBe(UNSEEN_PAIRS.length);
  expect(new Set(UNSEEN_PAIRS.map(([, shape]) => shape)).size).toBe(UNSEEN_PAIRS.length);
});
