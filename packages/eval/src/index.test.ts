import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { messageOf, readMetrics } from './__fixtures__/metrics.ts';
import { tokenizeWhitespace } from './captions/tokenizer.ts';
import { indexById } from './ids.ts';
import { retrievalTexts } from './retrieval/texts.ts';
import { roundLikePython } from './rounding.ts';
import { splitWords, strip, stripEnd } from './words.ts';

describe('rounding', () => {
  it('goes to the even digit in the middle, as Python does', () => {
    // python3 -c "print([round(x, 2) for x in (0.125, 0.375, 2.675, 1.005, 62.625, -0.125, 0.0, 63.19047619047618)])"
    const values = [0.125, 0.375, 2.675, 1.005, 62.625, -0.125, 0, 63.19047619047618];
    expect(values.map((value) => roundLikePython(value))).toEqual([0.12, 0.38, 2.67, 1, 62.62, -0.12, 0, 63.19]);
    expect([0.5, 1.5, 2.5].map((value) => roundLikePython(value, 0))).toEqual([0, 2, 2]);
    expect(roundLikePython(Number.NaN)).toBeNaN();
  });

  it('gives what the VQA tools print', () => {
    const { official, lavis } = readMetrics('vqa.json') as Record<
      'official' | 'lavis',
      Record<'precise' | 'rounded', { overall: number; perQuestionType: Record<string, number> }>
    >;
    for (const { precise, rounded } of [official, lavis]) {
      expect(roundLikePython(precise.overall)).toBe(rounded.overall);
      for (const [name, value] of Object.entries(precise.perQuestionType))
        expect(roundLikePython(value)).toBe(rounded.perQuestionType[name]);
    }
  });

  it('is never further away than half a digit', () => {
    fc.assert(
      fc.property(fc.double({ min: -100, max: 100, noNaN: true }), fc.nat(6), (value, digits) => {
        expect(Math.abs(roundLikePython(value, digits) - value)).toBeLessThanOrEqual(0.5 * 10 ** -digits + 1e-12);
      }),
    );
  });
});

describe('words', () => {
  it("are what Python's split finds", () => {
    expect(splitWords('\u00a0a\u0085b \u001cc\u2028d\t')).toEqual(['a', 'b', 'c', 'd']);
    expect(splitWords('a\ufeffb')).toEqual(['a\ufeffb']); // no white space in Python
    expect(splitWords('')).toEqual([]);
    expect([strip('\u2003 a b \n'), stripEnd(' a\u00a0')]).toEqual(['a b', ' a']);
  });

  it('the plain tokeniser keeps marks', () => {
    expect(tokenizeWhitespace(['  A dog,\nrunning. ', ''])).toEqual(['a dog, running.', '']);
  });
});

it('retrieval numbers captions image by image', () => {
  expect(
    retrievalTexts(
      new Map([
        [7, ['a', 'b']],
        [3, ['c']],
      ]),
    ),
  ).toEqual({ images: [7, 3], texts: ['a', 'b', 'c'], captionsPerImage: [2, 1] });
});

it('a file in the place of the list in it is an error that says so', () => {
  expect(
    messageOf(() =>
      indexById('evaluateVqa: annotations', { info: {}, annotations: [] } as never, (one: { id: number }) => one.id),
    ),
  ).toMatchInlineSnapshot(
    `"evaluateVqa: annotations: got an object with the keys info, annotations, expected a list. Pass the list inside the file, such as its annotations."`,
  );
});

it('loads no tfjs: of core, the entries without it', () => {
  const folder = fileURLToPath(new URL('.', import.meta.url));
  const sources = globSync('**/*.ts', { cwd: folder }).filter((path) => !/\.test\.ts$|test-support|__fixtures__/.test(path));
  const packages = sources.flatMap((path) => loadedBy(`${folder}/${path}`)).filter((name) => /^@blip2|^@tensorflow/.test(name));
  expect([...new Set(packages)].toSorted()).toEqual([
    '@blip2/core/errors',
    '@blip2/core/json',
    '@blip2/core/node',
    '@blip2/core/random',
  ]);
  const core = fileURLToPath(new URL('../../core/src', import.meta.url));
  const below = globSync('{errors,json,node,random,json/*,node/*}.ts', { cwd: core })
    .filter((path) => !path.endsWith('.test.ts'))
    .flatMap((path) => loadedBy(`${core}/${path}`));
  expect([...new Set(below)].toSorted()).toEqual(['node:crypto', 'node:fs', 'node:fs/promises', 'node:path', 'zod/mini']);
});

/** Packages that a file imports when it runs. */
function loadedBy(path: string): string[] {
  const source = readFileSync(path, 'utf8');
  return [...source.matchAll(/^(?:import|export) (?!type )[^;]*?from '([^'.][^']*)'/gm)].map(([, name]) => name!);
}
