import { InputError } from '@blip2/core/errors';
import { assertSameIds, assertTexts, indexById, mean } from '../ids.ts';
import type { Id, IndexOptions } from '../ids.ts';
import { cleanVqaAnswer, normalizeVqaAnswer, normalizeVqaPunctuation } from './normalization.ts';
import type { VqaNormalization } from './normalization.ts';

/** A question's human answers, as in `v2_mscoco_*_annotations.json`; other keys are not read. */
export interface VqaAnnotation {
  readonly question_id: Id;
  /** `yes/no`, `number` or `other`. */
  readonly answer_type?: string;
  /** The first words of the question. */
  readonly question_type?: string;
  readonly answers: readonly { readonly answer: string }[];
}

/** A model's answer to one question, as in a result file. */
export interface VqaResult {
  readonly question_id: Id;
  readonly answer: string;
}

/** Accuracies in percent, unrounded. */
export interface VqaScores {
  readonly overall: number;
  readonly perAnswerType: ReadonlyMap<string, number>;
  readonly perQuestionType: ReadonlyMap<string, number>;
  readonly perQuestion: ReadonlyMap<Id, number>;
}

/**
 * Accuracy of one answer, from 0 to 1: the mean, over the people who answered, of min(1, matches among the *other* answers / 3).
 * With ten people and m of them in agreement with the prediction: 0, 0.3, 0.6, 0.9 for m = 0 to 3, else 1.
 *
 * @param answers - What people answered, each one's own entry, ten of them in VQAv2.
 * @throws {InputError} when there are no answers.
 *
 * @example
 * vqaAccuracy('Two.', ['2', '2', '2', 'two dogs', '2', '3', '3', '3', '3', '3']); // 1
 *
 * Source: Antol et al., VQA (arXiv 1505.00468); GT-Vision-Lab/VQA `vqaEval.py`, `evaluate`; LAVIS `vqa_eval.py`.
 */
export function vqaAccuracy(
  prediction: string,
  answers: readonly string[],
  normalization: VqaNormalization = 'challenge',
): number {
  if (answers.length === 0)
    throw new InputError(
      'vqaAccuracy: got no human answers, expected at least one, ten in VQAv2. Questions of a test split have none.',
    );
  return accuracyOf(prediction, answers, formsOf(normalization));
}

function accuracyOf(prediction: string, answers: readonly string[], forms: AnswerForms): number {
  const compared =
    forms.normalization === 'challenge' ? asChallenge(prediction, answers, forms) : asLavis(prediction, answers, forms);
  const matches = compared.answers.filter((answer) => answer === compared.prediction).length;
  const accuracies = compared.answers.map((answer) => Math.min(1, (matches - (answer === compared.prediction ? 1 : 0)) / 3));
  return mean('vqaAccuracy', accuracies);
}

/**
 * Scores a result file against an annotation file.
 *
 * @throws {InputError} when questions have no result or two, or results have no question.
 *
 * Source: as {@link vqaAccuracy}; values are the tool's before it rounds to two decimals.
 */
export function evaluateVqa({
  annotations,
  results,
  normalization = 'challenge',
  duplicates,
}: {
  readonly annotations: readonly VqaAnnotation[];
  readonly results: readonly VqaResult[];
  readonly normalization?: VqaNormalization;
} & IndexOptions): VqaScores {
  const byQuestion = indexById('evaluateVqa: annotations', annotations, ({ question_id }) => question_id);
  const given = indexById('evaluateVqa: results', results, ({ question_id }) => question_id, { duplicates });
  assertSameIds('evaluateVqa: results', given, byQuestion, 'questions');

  const plain = formsOf(normalization);
  const forms = { ...plain, clean: remembering(plain.clean), whole: remembering(plain.whole), half: remembering(plain.half) };
  const perQuestion = new Map<Id, number>();
  for (const [id, { answers }] of byQuestion) {
    const texts = answers.map(({ answer }) => answer);
    const { answer: prediction } = given.get(id)!;
    assertTexts('evaluateVqa: annotations: question', id, texts);
    assertTexts('evaluateVqa: results: question', id, [prediction]);
    if (texts.length === 0)
      throw new InputError(
        `evaluateVqa: question ${id} has no human answers, expected ten. Leave it out, or take the annotations of a split that has them.`,
      );
    perQuestion.set(id, 100 * accuracyOf(prediction, texts, forms));
  }
  const perType = (type: 'answer_type' | 'question_type'): Map<string, number> => {
    const groups = Map.groupBy(
      [...byQuestion].filter(([, one]) => one[type] !== undefined),
      ([, one]) => one[type]!,
    );
    return new Map(
      [...groups].map(([name, group]) => [
        name,
        mean(
          'evaluateVqa',
          group.map(([id]) => perQuestion.get(id)!),
        ),
      ]),
    );
  };
  return {
    overall: mean('evaluateVqa', [...perQuestion.values()]),
    perAnswerType: perType('answer_type'),
    perQuestionType: perType('question_type'),
    perQuestion,
  };
}

/** Accuracy of A-OKVQA in LAVIS, from 0 to 1: min(1, matches / 3) on the texts as they are, nobody left out. */
export function directAnswerAccuracy(prediction: string, answers: readonly string[]): number {
  return Math.min(1, answers.filter((answer) => answer === prediction).length / 3);
}

interface Compared {
  readonly prediction: string;
  readonly answers: readonly string[];
}

/** What answers become before they are compared. */
interface AnswerForms {
  readonly normalization: VqaNormalization;
  /** Without outer white space. */
  readonly clean: (answer: string) => string;
  /** Normalised, of a clean answer. */
  readonly whole: (answer: string) => string;
  /** With the first of the two steps alone. */
  readonly half: (answer: string) => string;
}

function formsOf(normalization: VqaNormalization): AnswerForms {
  return {
    normalization,
    clean: cleanVqaAnswer,
    whole: (answer) => normalizeVqaAnswer(answer, normalization),
    half: (answer) => normalizeVqaPunctuation(answer, normalization),
  };
}

/** The same function, which does each text once: people say the same things by the thousand. */
function remembering(form: (answer: string) => string): (answer: string) => string {
  const known = new Map<string, string>();
  return (answer) => {
    let made = known.get(answer);
    if (made === undefined) known.set(answer, (made = form(answer)));
    return made;
  };
}

/** Nothing but outer white space changes when people agree to the letter. */
function asChallenge(prediction: string, answers: readonly string[], { clean, whole }: AnswerForms): Compared {
  const [cleanPrediction, cleanAnswers] = [clean(prediction), answers.map(clean)];
  if (areEqual(cleanAnswers)) return { prediction: cleanPrediction, answers: cleanAnswers };
  return { prediction: whole(cleanPrediction), answers: cleanAnswers.map(whole) };
}

/** The prediction is normalised wholly, the human answers half, so that `two` is wrong where ten people say `two`. */
function asLavis(prediction: string, answers: readonly string[], { clean, whole, half }: AnswerForms): Compared {
  return { prediction: whole(clean(prediction)), answers: areEqual(answers) ? answers : answers.map(half) };
}

function areEqual(texts: readonly string[]): boolean {
  return texts.every((text) => text === texts[0]);
}
