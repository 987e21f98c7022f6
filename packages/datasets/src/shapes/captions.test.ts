import fc from 'fast-check';
import { expect, test } from 'vitest';
import { describeScene } from './captions.ts';
import { COLOR_NAMES, KNOWN_SHAPES } from './palette.ts';
import { sceneRandom } from './random.ts';
import { captionFits, readCaption } from './read-caption.ts';
import { type Domain, drawScene } from './scene.ts';

const captionsOf = (seed: number, index: number, domain: Domain = 'in', count?: number): string[] =>
  describeScene(drawScene({ seed, index }, { domain }), sceneRandom({ seed, index }, 'captions'), count);

test('captions are true and name every object', () => {
  fc.assert(
    fc.property(fc.integer(), fc.nat(), fc.constantFrom<Domain[]>('in', 'near', 'out'), (seed, index, domain) => {
      const scene = drawScene({ seed, index }, { domain });
      for (const caption of captionsOf(seed, index, domain)) {
        if (!captionFits(scene, caption)) throw new Error(`'${caption}' is not true of ${JSON.stringify(scene.objects)}`);
        for (const { color, shape } of scene.objects) expect(caption).toMatch(new RegExp(`${color} ${shape}`));
      }
    }),
    { numRuns: 500 },
  );
});

test('captions of a scene differ, are short, and are plain lower case', () => {
  for (let index = 0; index < 1000; index++) {
    const captions = captionsOf(3, index);
    expect(captions).toHaveLength(5);
    expect(new Set(captions).size).toBe(5);
    for (const caption of captions) {
      expect(caption).toMatch(/^[a-z]+(?:,? [a-z]+)*$/);
      expect(caption.split(' ').length).toBeLessThanOrEqual(30);
    }
  }
});

test('what captions are like', () => {
  expect([0, 1, 2].flatMap((index) => captionsOf(3, index, 'in', 3))).toMatchInlineSnapshot(`
    [
      "an image of a cyan star above a blue ring, with a green triangle on a gray background",
      "a cyan star above a green triangle, with a blue ring",
      "a cyan star, a green triangle and a blue ring",
      "two brown diamonds, a pink ring and an orange circle",
      "two large brown diamonds, a large dotted pink ring and a large orange circle on a mint background",
      "two brown diamonds, a dotted pink ring and an orange circle on a mint background",
      "two blue diamonds and a large blue ring on a gray background",
      "two blue diamonds and a blue ring on a gray background",
      "a picture of two blue diamonds and a blue ring on a gray background",
    ]
  `);
});

test('a caption with one word changed is not true', () => {
  for (let index = 0; index < 300; index++) {
    const scene = drawScene({ seed: 8, index });
    for (const caption of captionsOf(8, index)) {
      const wrongColor = COLOR_NAMES.find((color) => scene.objects.every((object) => object.color !== color))!;
      const wrongShape = KNOWN_SHAPES.find((shape) => scene.objects.every((object) => object.shape !== shape))!;
      const [{ color, shape }] = scene.objects as [(typeof scene.objects)[number]];
      expect(captionFits(scene, caption.replace(color, wrongColor).replace('an brown', 'a brown'))).toBe(false);
      expect(captionFits(scene, caption.replace(`${color} ${shape}`, `${color} ${wrongShape}`))).toBe(false);
      expect(
        captionFits(
          scene,
          caption.replaceAll(' above ', ' UNDER ').replaceAll(' below ', ' above ').replaceAll(' UNDER ', ' below '),
        ),
      ).toBe(!/above|below/.test(caption));
      expect(captionFits(scene, `${caption} and a red circle`)).toBe(false);
    }
  }
});

test('what a caption says can be read; other texts cannot', () => {
  expect(readCaption('two small striped red crosses above an orange circle, with a blue star on a gray background')).toEqual({
    mentions: [
      { count: 2, filter: { size: 'small', texture: 'striped', color: 'red', shape: 'cross' } },
      { count: 1, filter: { color: 'orange', shape: 'circle' } },
      { count: 1, filter: { color: 'blue', shape: 'star' } },
    ],
    relation: 'above',
    background: 'gray',
  });
  for (const text of ['', 'a dog', 'a red', 'a red circle and', 'red circle', 'a red circle on a red background']) {
    expect(readCaption(text)).toBeUndefined();
  }
});

test('one caption of a thousand images leads to one of them, nearly always', () => {
  const scenes = Array.from({ length: 1000 }, (_, index) => drawScene({ seed: 1, index }));
  let ambiguous = 0;
  for (let index = 0; index < 200; index++) {
    const [caption] = captionsOf(1, index, 'in', 1);
    if (scenes.filter((scene) => captionFits(scene, caption!)).length > 1) ambiguous++;
  }
  expect(ambiguous / 200).toBeLessThan(0.06);
});

test('no captions cannot be asked for', () => {
  const scene = drawScene({ seed: 1, index: 0 });
  expect(() => describeScene(scene, Math.random, 0)).toThrowErrorMatchingInlineSnapshot(
    `[InputError: describeScene: count is 0, expected a whole number, 1 or more. Leave it out for 5.]`,
  );
});
