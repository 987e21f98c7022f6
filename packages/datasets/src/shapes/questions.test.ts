import fc from 'fast-check';
import { expect, test } from 'vitest';
import { annotate } from './annotators.ts';
import { BACKGROUND_NAMES, COLOR_NAMES, KNOWN_SHAPES, SIZES, TEXTURES, UNSEEN_SHAPES } from './palette.ts';
import { answerProgram, type Filter, type Program } from './programs.ts';
import { askScene, type QuestionKind, type SceneQuestion } from './questions.ts';
import { sceneRandom } from './random.ts';
import type { Relation } from './relations.ts';
import { type Domain, drawScene } from './scene.ts';

const questionsOf = (seed: number, index: number, domain: Domain = 'in'): SceneQuestion[] =>
  askScene(drawScene({ seed, index }, { domain }), sceneRandom({ seed, index }, 'questions'));

/** The program that a question's words ask for, by another route than the one that wrote them. */
function readQuestion(text: string): Program {
  const filter = (noun: string): Filter => {
    const found: Record<string, string> = {};
    for (const word of noun.split(' ')) {
      if (/^objects?$/.test(word)) continue;
      const singular = /^cross(?:es)?$/.test(word) ? 'cross' : word.replace(/s$/, '');
      const shape = [...KNOWN_SHAPES, ...UNSEEN_SHAPES].find((one) => one === singular);
      const attribute = shape
        ? 'shape'
        : COLOR_NAMES.some((one) => one === word)
          ? 'color'
          : SIZES.some((one) => one === word)
            ? 'size'
            : 'texture';
      found[attribute] = shape ?? word;
    }
    return found;
  };
  const relations = '(left of|right of|above|below)';
  const match = (pattern: RegExp): string[] | null => pattern.exec(text)?.slice(1) ?? null;
  let found: string[] | null;
  if (text === 'what color is the background?') return { op: 'background' };
  if ((found = match(/^is there an? (.*)\?$/))) return { op: 'exist', filter: filter(found[0]!) };
  if ((found = match(/^how many (.*) are there\?$/))) return { op: 'count', filter: filter(found[0]!) };
  if ((found = match(/^are there (more|fewer|as many) (.*) (?:than|as) (.*)\?$/))) {
    return {
      op: 'compare',
      than: found[0] === 'as many' ? 'equal' : (found[0] as 'more'),
      first: filter(found[1]!),
      second: filter(found[2]!),
    };
  }
  if ((found = match(new RegExp(`^is the (.*) ${relations} the (.*)\\?$`)))) {
    return { op: 'relate', relation: found[1] as Relation, subject: filter(found[0]!), object: filter(found[2]!) };
  }
  if ((found = match(new RegExp(`^what (color|shape) is the object ${relations} the (.*)\\?$`)))) {
    const relative = { relation: found[1] as Relation, to: filter(found[2]!) };
    return { op: 'query', attribute: found[0] as 'color', of: { filter: {}, relative } };
  }
  if ((found = match(/^what (color|shape|size|texture) is the (.*)\?$/))) {
    return { op: 'query', attribute: found[0] as 'color', of: { filter: filter(found[1]!) } };
  }
  found = match(/^is the (.*?)(?: an?)? (\w+)\?$/)!;
  const [[attribute, value]] = Object.entries(filter(found[1]!)) as [[Extract<Program, { op: 'verify' }>['attribute'], string]];
  return { op: 'verify', attribute, value, of: { filter: filter(found[0]!) } };
}

test('every answer is what the program gives, and the program is what the words ask', () => {
  fc.assert(
    fc.property(fc.integer(), fc.nat(), fc.constantFrom<Domain[]>('in', 'near', 'out'), (seed, index, domain) => {
      const scene = drawScene({ seed, index }, { domain });
      for (const { text, program, answer } of questionsOf(seed, index, domain)) {
        expect(answerProgram(scene, program), text).toBe(answer);
        expect(readQuestion(text), text).toEqual(program);
      }
    }),
    { numRuns: 1000 },
  );
});

/** How often the most frequent answer of each group of training questions is right for the same group of other scenes. */
function blindAccuracy(
  questions: readonly (readonly SceneQuestion[])[],
  groupOf: (question: SceneQuestion) => string,
): Record<string, number> {
  const half = questions.length / 2;
  const counts = new Map<string, Map<string, number>>();
  for (const question of questions.slice(0, half).flat()) {
    const answers = counts.get(groupOf(question)) ?? new Map<string, number>();
    counts.set(groupOf(question), answers.set(question.answer, (answers.get(question.answer) ?? 0) + 1));
  }
  const guess = new Map([...counts].map(([group, answers]) => [group, [...answers].toSorted((a, b) => b[1] - a[1])[0]![0]]));
  const right: Record<string, number[]> = {};
  for (const question of questions.slice(half).flat()) {
    for (const group of ['all', question.type, question.kind]) {
      (right[group] ??= []).push(Number(guess.get(groupOf(question)) === question.answer));
    }
  }
  return Object.fromEntries(Object.entries(right).map(([group, hits]) => [group, hits.reduce((a, b) => a + b) / hits.length]));
}

test('who does not see the image is right in a third of the questions, and at most in half of any kind', () => {
  const questions = Array.from({ length: 6000 }, (_, index) => questionsOf(7, index));
  const groups: Record<string, (question: SceneQuestion) => string> = {
    kind: ({ kind }) => kind,
    opening: ({ text }) => text.split(' ').slice(0, 4).join(' '),
    words: ({ text }) => text,
    // Which attributes are told, and which value the last one has.
    template: ({ kind, program }) => `${kind} ${JSON.stringify(program).replaceAll(/"(color|shape)":"\w+"/g, '$1')}`,
  };
  for (const groupOf of Object.values(groups)) {
    const accuracy = blindAccuracy(questions, groupOf);
    expect(accuracy.all).toBeLessThan(0.37);
    for (const kind of ['exist', 'verify', 'compare', 'relate', 'size']) expect(accuracy[kind], kind).toBeLessThan(0.56);
    for (const kind of ['count', 'texture']) expect(accuracy[kind], kind).toBeLessThan(0.41);
    for (const kind of ['color', 'shape', 'relative', 'background']) expect(accuracy[kind], kind).toBeLessThan(0.25);
  }
});

test('types and kinds have their shares', () => {
  const questions = Array.from({ length: 3000 }, (_, index) => questionsOf(5, index)).flat();
  expect(questions).toHaveLength(18_000);
  const share = (type: string): number => questions.filter((question) => question.type === type).length / questions.length;
  expect(share('yes/no')).toBeCloseTo(0.4, 1);
  expect(share('number')).toBeCloseTo(0.15, 1);
  expect(share('other')).toBeCloseTo(0.45, 1);
  expect(new Set(questions.map(({ kind }) => kind)).size).toBe(11);
  const backgrounds = questions.filter(({ kind }) => kind === 'background').map(({ answer }) => answer);
  expect(new Set(backgrounds)).toEqual(new Set(BACKGROUND_NAMES));
  expect(TEXTURES.every((texture) => questions.some(({ answer }) => answer === texture))).toBe(true);
});

test('questions of a scene differ; kinds and their number can be chosen', () => {
  for (let index = 0; index < 500; index++) {
    const scene = drawScene({ seed: 2, index });
    const texts = askScene(scene, sceneRandom({ seed: 2, index }, 'questions'), { count: 12 }).map(({ text }) => text);
    expect(new Set(texts).size).toBe(texts.length);
  }
  const kinds = (chosen: Partial<Record<QuestionKind, number>>) =>
    askScene(drawScene({ seed: 2, index: 4 }), sceneRandom({ seed: 2, index: 4 }, 'questions'), { kinds: chosen });
  expect(kinds({ color: 1 }).every(({ kind }) => kind === 'color')).toBe(true);
  expect(kinds({ background: 1 })).toHaveLength(1);
});

test('what questions are like', () => {
  expect([0, 1, 2].flatMap((index) => questionsOf(3, index).map(({ text, answer }) => `${text} ${answer}`)))
    .toMatchInlineSnapshot(`
    [
      "what shape is the blue object? ring",
      "what shape is the green object? triangle",
      "how many rings are there? 1",
      "how many red objects are there? 0",
      "is the star above the blue object? yes",
      "what shape is the object below the ring? triangle",
      "what color is the dotted diamond? brown",
      "what texture is the ring? dotted",
      "what color is the background? mint",
      "is there a brown diamond? yes",
      "is there an orange diamond? no",
      "what shape is the striped brown object? diamond",
      "is the ring below the plain diamond? yes",
      "what color is the background? gray",
      "is the plain diamond left of the dotted blue object? no",
      "how many cyan objects are there? 0",
      "is there a large cross? no",
      "is the ring right of the plain diamond? no",
    ]
  `);
});

test('options that cannot be used are refused', () => {
  const scene = drawScene({ seed: 1, index: 0 });
  expect(() => askScene(scene, Math.random, { count: 0 })).toThrowErrorMatchingInlineSnapshot(
    `[InputError: askScene: count is 0, expected a whole number, 1 or more. Leave it out for 6.]`,
  );
  expect(() => askScene(scene, Math.random, { kinds: { color: 0 } })).toThrowErrorMatchingInlineSnapshot(
    `[InputError: askScene: kinds are {"color":0}, expected shares of at least 0, one of them positive. Leave kinds out for all.]`,
  );
});

test('a program that speaks of one of several objects is refused', () => {
  const scene = drawScene({ seed: 3, index: 2 });
  expect(() =>
    answerProgram(scene, { op: 'query', attribute: 'size', of: { filter: { color: 'blue' } } }),
  ).toThrowErrorMatchingInlineSnapshot(
    `[InputError: answerProgram: 3 objects fit {"filter":{"color":"blue"}}, expected exactly one. Ask of something that is there once.]`,
  );
});

test('ten people answer, eight of them the same', () => {
  const random = sceneRandom({ seed: 1, index: 0 }, 'questions');
  const counts = [0, 0, 0];
  for (const question of Array.from({ length: 1000 }, (_, index) => questionsOf(6, index)).flat()) {
    const answers = annotate(question, random);
    expect(answers).toHaveLength(10);
    const others = answers.filter((answer) => answer !== question.answer);
    expect(others.length).toBeLessThanOrEqual(2);
    counts[others.length]!++;
    if (question.type === 'yes/no') expect(answers.every((answer) => answer === 'yes' || answer === 'no')).toBe(true);
    if (question.type === 'number') expect(answers.every((answer) => /^[0-6]$/.test(answer))).toBe(true);
  }
  expect(counts.map((count) => count / 6000)).toEqual([expect.closeTo(0.6, 1), expect.closeTo(0.25, 1), expect.closeTo(0.15, 1)]);
});
