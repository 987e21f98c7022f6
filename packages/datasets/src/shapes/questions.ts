import { InputError, type Random } from '@blip2/core';
import type { Program } from './programs.ts';
import { askAttribute, askBackground, askCount, askRelative } from './questions/open.ts';
import { askCompare, askExist, askRelate, askVerify } from './questions/yes-no.ts';
import { pickWeighted } from './random.ts';
import type { Scene } from './scene.ts';

export type AnswerType = 'yes/no' | 'number' | 'other';

/** What a question is about. */
export type QuestionKind =
  | 'exist'
  | 'compare'
  | 'relate'
  | 'verify'
  | 'count'
  | 'color'
  | 'shape'
  | 'size'
  | 'texture'
  | 'relative'
  | 'background';

/** One question of VQAv2's sort. */
export interface SceneQuestion {
  /** Lower case, ends with a question mark. */
  readonly text: string;
  /** As VQAv2 writes answers: `yes`, `2`, `red`. */
  readonly answer: string;
  readonly type: AnswerType;
  readonly kind: QuestionKind;
  /** How the answer follows; `answerProgram` runs it. */
  readonly program: Program;
}

export interface AskSceneOptions {
  /** How many questions; fewer where a scene has not so many. @default 6 */
  readonly count?: number;
  /** How often each kind is asked; 0 leaves it out. @default QUESTION_SHARES */
  readonly kinds?: Readonly<Partial<Record<QuestionKind, number>>>;
}

/** What a kind needs to make a question, or `undefined` where the scene does not allow one. */
export type Asker = (scene: Scene, random: Random) => Pick<SceneQuestion, 'text' | 'answer' | 'program'> | undefined;

/** Shares of the kinds: the types are those of VQAv2 (38 % yes/no, 12 % numbers, 50 % other), nearly. */
export const QUESTION_SHARES: Readonly<Record<QuestionKind, number>> = {
  exist: 18,
  compare: 5,
  relate: 7,
  verify: 9,
  count: 14,
  color: 13,
  shape: 11,
  size: 4,
  texture: 7,
  relative: 7,
  background: 5,
};

/** How each kind is asked. */
export const ASKERS: Readonly<Record<QuestionKind, Asker>> = {
  exist: askExist,
  compare: askCompare,
  relate: askRelate,
  verify: askVerify,
  count: askCount,
  color: (scene, random) => askAttribute(scene, 'color', random),
  shape: (scene, random) => askAttribute(scene, 'shape', random),
  size: (scene, random) => askAttribute(scene, 'size', random),
  texture: (scene, random) => askAttribute(scene, 'texture', random),
  relative: askRelative,
  background: askBackground,
};

const TYPES: Readonly<Partial<Record<QuestionKind, AnswerType>>> = {
  exist: 'yes/no',
  compare: 'yes/no',
  relate: 'yes/no',
  verify: 'yes/no',
  count: 'number',
};

/**
 * Different questions about a scene, each with its one true answer. Answers are balanced, so that they cannot be guessed from
 * the question: "yes" is as frequent as "no" for every kind, colours and shapes are all equally frequent.
 *
 * @param random - `sceneRandom(key, 'questions')` makes the questions a part of the world.
 * @throws {InputError} for a count below 1, or shares that are negative or all zero.
 *
 * @example
 * const [{ text, answer }] = askScene(scene, sceneRandom({ seed: 1, index: 0 }, 'questions'));
 */
export function askScene(
  scene: Scene,
  random: Random,
  { count = 6, kinds = QUESTION_SHARES }: AskSceneOptions = {},
): SceneQuestion[] {
  assertAskOptions('askScene', count, 6, kinds);
  const questions = new Map<string, SceneQuestion>();
  for (let attempt = 0; questions.size < count && attempt < 20 * count; attempt++) {
    const kind = pickWeighted(kinds as Record<QuestionKind, number>, random);
    const asked = askOnce(ASKERS[kind], scene, random);
    if (asked === undefined || questions.has(asked.text)) continue;
    questions.set(asked.text, { ...asked, type: TYPES[kind] ?? 'other', kind });
  }
  return [...questions.values()];
}

/** Most guesses at two objects of the right sort fail: without repeating, kinds that need them would be rare. */
export function askOnce(ask: Asker, scene: Scene, random: Random): ReturnType<Asker> {
  for (let attempt = 0; attempt < 8; attempt++) {
    const asked = ask(scene, random);
    if (asked !== undefined) return asked;
  }
  return undefined;
}

/** @throws {InputError} for a count below 1, or shares that are negative or all zero. */
export function assertAskOptions(where: string, count: number, usual: number, kinds: Readonly<Record<string, number>>): void {
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new InputError(`${where}: count is ${count}, expected a whole number, 1 or more. Leave it out for ${usual}.`);
  }
  const shares = Object.values(kinds);
  if (shares.some((share) => !(share >= 0)) || !shares.some((share) => share > 0)) {
    throw new InputError(
      `${where}: kinds are ${JSON.stringify(kinds)}, expected shares of at least 0, one of them positive. Leave kinds out for all.`,
    );
  }
}
