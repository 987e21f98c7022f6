import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expectNoLeak } from '@blip2/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answer, asAnswerer, asCaptioner, asMatcher, type Blip2, caption, loadBlip2, match } from './node.ts';

const folder = fileURLToPath(new URL('../../../demo/images', import.meta.url));
const paths = ['01.png', '02.png'].map((file) => join(folder, file));
const texts = ['a red circle', 'two blue squares on a grey background', 'a green star'];

let model: Blip2;
beforeAll(async () => {
  model = await loadBlip2();
});
afterAll(() => model.dispose());

/** Compares rows of numbers that took other ways through the same functions. */
function expectClose(actual: readonly Float32Array[], expected: readonly (readonly number[])[]): void {
  expect(actual.map((row) => row.length)).toEqual(expected.map((row) => row.length));
  for (const [index, row] of actual.entries())
    for (const [place, value] of row.entries()) expect(Math.abs(value - expected[index]![place]!)).toBeLessThan(1e-4);
}

describe('a model for programs that take any', () => {
  it('captions what a caller calls an image', async () => {
    const captioner = asCaptioner(model, (index: number) => paths[index]!);
    const expected = (await caption(model, paths, { prompt: 'a photo of', beams: 2 })).map(({ text }) => text);
    expect(await captioner.caption([0, 1], { prompt: 'a photo of', beams: 2 })).toEqual(expected);
  });

  it('answers, and reads an image with several questions once', async () => {
    const reads: number[] = [];
    const answerer = asAnswerer(model, (index: number) => {
      reads.push(index);
      return readFileSync(paths[index]!);
    });
    const questions = ['how many objects are there?', 'what color is the circle?', 'how many objects are there?'];
    const [first, second, third] = await Promise.all([
      answer(model, paths[0]!, questions[0]!),
      answer(model, paths[0]!, questions[1]!),
      answer(model, paths[1]!, questions[2]!),
    ]);
    const expected = [first, second, third].map(([one]) => one!.text);
    expect(await answerer.answer([0, 0, 1], questions)).toEqual(expected);
    expect(await answerer.answer([1, 0, 0], [questions[2]!, questions[0]!, questions[1]!])).toEqual([
      expected[2],
      expected[0],
      expected[1],
    ]);
    expect(reads).toEqual([0, 1, 1, 0]);
  });

  it('matches as match() does, in two looks', async () => {
    const matcher = asMatcher(model);
    const expected = await match(model, paths, texts);
    expectClose(
      await matcher.similarities(paths, texts),
      expected.map((row) => row.map(({ itc }) => itc)),
    );
    const logits = await Promise.all(paths.map((path) => matcher.match(path, texts)));
    // The probability has the logit of "no match" in it too: larger logits are larger probabilities as far as they differ clearly.
    for (const [index, row] of logits.entries()) {
      const best = row.indexOf(Math.max(...row));
      const probabilities = expected[index]!.map(({ itm }) => itm);
      expect(probabilities[best]).toBeCloseTo(Math.max(...probabilities), 2);
    }
  });

  it('reads an image once for both looks, unless there is no room for its features', async () => {
    for (const [featureCacheBytes, times] of [
      [2 ** 20, 1],
      [0, 2],
    ] as const) {
      let reads = 0;
      const read = (path: string): string => {
        reads++;
        return path;
      };
      const matcher = asMatcher(model, { read, featureCacheBytes });
      const [row] = await matcher.similarities([paths[0]!], texts);
      await matcher.match(paths[0]!, texts);
      expect(reads).toBe(times);
      expect((await asMatcher(model).similarities([paths[0]!], texts))[0]).toEqual(row);
    }
  });

  it('texts are processed as in training and end where training ended them', async () => {
    const matcher = asMatcher(model);
    const [plain, marked] = await Promise.all(['a red circle', 'A RED circle!!'].map((text) => matcher.match(paths[0]!, [text])));
    expect(marked).toEqual(plain);
    const long = Array.from({ length: 40 }, () => 'circle').join(' ');
    const [cut, longer] = await Promise.all([long, `${long} star`].map((text) => matcher.match(paths[0]!, [text])));
    expect(longer).toEqual(cut);
  });

  it('leaves no tensor behind', async () => {
    await expectNoLeak(async () => {
      const matcher = asMatcher(model);
      await matcher.similarities(paths, texts);
      await matcher.match(paths[0]!, texts);
      await asAnswerer(model).answer([paths[0]!, paths[0]!], ['how many objects are there?', 'what color is the circle?']);
      await asCaptioner(model).caption(paths, { beams: 1 });
    });
  });
});
