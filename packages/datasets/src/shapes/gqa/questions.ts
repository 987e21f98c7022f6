import type { Random } from '@blip2/core';
import type { Program } from '../programs.ts';
import { type Asker, ASKERS, askOnce, assertAskOptions } from '../questions.ts';
import { pickWeighted } from '../random.ts';
import type { Scene } from '../scene.ts';
import { askChoose, askLogical, askSame } from './askers.ts';
import { entails, isEquivalent } from './entailment.ts';
import { fullAnswer, type GqaStep, gqaTypes, type GqaTypes, semanticSteps, semanticText } from './semantics.ts';

/** What a question of GQA's sort is about. It asks for no numbers. */
export type GqaKind =
  | 'exist'
  | 'verify'
  | 'relate'
  | 'color'
  | 'shape'
  | 'size'
  | 'texture'
  | 'relative'
  | 'background'
  | 'choose'
  | 'logical'
  | 'same';

/** One question, with the fields of GQA's files; other questions of the image by their place in its list. */
export interface GqaSceneQuestion {
  /** Lower case, ends with a question mark. */
  readonly text: string;
  readonly answer: string;
  readonly fullAnswer: string;
  readonly kind: GqaKind;
  readonly program: Program;
  readonly types: GqaTypes;
  readonly semantic: readonly GqaStep[];
  readonly semanticStr: string;
  /** What balancing grouped it by: `global` is the sort of answer, `null` for yes and no. */
  readonly groups: { readonly global: string | null; readonly local: string };
  /** Questions that are answered along with this one. */
  readonly entailed: readonly number[];
  /** Questions that ask the same, and this one itself. */
  readonly equivalent: readonly number[];
  readonly isBalanced: boolean;
}

export interface AskGqaSceneOptions {
  /** How many questions; fewer where a scene has not so many. @default 8 */
  readonly count?: number;
  /** How often each kind is asked; 0 leaves it out. @default GQA_SHARES */
  readonly kinds?: Readonly<Partial<Record<GqaKind, number>>>;
}

export const GQA_SHARES: Readonly<Record<GqaKind, number>> = {
  exist: 13,
  verify: 12,
  relate: 9,
  color: 13,
  shape: 11,
  size: 4,
  texture: 7,
  relative: 9,
  background: 4,
  choose: 10,
  logical: 8,
  same: 6,
};

const GQA_ASKERS: Readonly<Record<GqaKind, Asker>> = {
  exist: ASKERS.exist,
  verify: ASKERS.verify,
  relate: ASKERS.relate,
  color: ASKERS.color,
  shape: ASKERS.shape,
  size: ASKERS.size,
  texture: ASKERS.texture,
  relative: ASKERS.relative,
  background: ASKERS.background,
  choose: askChoose,
  logical: askLogical,
  same: askSame,
};

/**
 * Questions of GQA's sort about a scene: with types, functional programs, sentences as answers, and which of them follow from
 * each other.
 *
 * @param random - `sceneRandom(key, 'gqa')` makes the questions a part of the world.
 * @throws {InputError} for a count below 1, or shares that are negative or all zero.
 *
 * @example
 * const questions = askGqaScene(scene, sceneRandom({ seed: 1, index: 0 }, 'gqa'));
 *
 * Source: Hudson and Manning, "GQA" (arXiv 1902.09506), section 3; files of GQA 1.2.
 */
export function askGqaScene(
  scene: Scene,
  random: Random,
  { count = 8, kinds = GQA_SHARES }: AskGqaSceneOptions = {},
): GqaSceneQuestion[] {
  assertAskOptions('askGqaScene', count, 8, kinds);
  const asked = new Map<string, { text: string; answer: string; program: Program; kind: GqaKind }>();
  for (let attempt = 0; asked.size < count && attempt < 20 * count; attempt++) {
    const kind = pickWeighted(kinds as Record<GqaKind, number>, random);
    const question = askOnce(GQA_ASKERS[kind], scene, random);
    if (question !== undefined && !asked.has(question.text)) asked.set(question.text, { ...question, kind });
  }
  const questions = [...asked.values()];
  const places = (holds: (other: (typeof questions)[number]) => boolean): number[] =>
    questions.flatMap((other, place) => (holds(other) ? [place] : []));
  return questions.map((question) => {
    const { program, answer } = question;
    const semantic = semanticSteps(scene, program);
    return {
      ...question,
      fullAnswer: fullAnswer(scene, program, answer),
      types: gqaTypes(program),
      semantic,
      semanticStr: semanticText(semantic),
      groups: groupsOf(program, answer),
      entailed: places((other) => entails(question, other)),
      equivalent: places((other) => isEquivalent(question, other)),
      isBalanced: true,
    };
  });
}

function groupsOf(program: Program, answer: string): GqaSceneQuestion['groups'] {
  const isBinary = answer === 'yes' || answer === 'no';
  const sort = 'attribute' in program ? program.attribute : program.op === 'background' ? 'background' : 'object';
  const about = 'of' in program ? (program.of.filter.shape ?? 'object') : sort;
  return { global: isBinary ? null : sort, local: `${program.op}-${about}_${sort}` };
}
