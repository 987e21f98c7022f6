import { InputError } from '@blip2/core/errors';
import { assertTexts, indexById, listIds } from '../ids.ts';
import type { IndexOptions } from '../ids.ts';
import { splitWords } from '../words.ts';
import { groundingScore } from './grounding.ts';
import type { GqaAttention, GqaChoices, GqaPrediction, GqaQuestion, GqaSceneGraph, GqaScores, GqaShare } from './questions.ts';

/** What the GQA metrics are made of; the files of the official script, parsed. */
export interface GqaInput extends IndexOptions {
  /** By question id; the chunks of a split file merged. */
  readonly questions: Readonly<Record<string, GqaQuestion>>;
  /** Those of questions that are not asked are ignored, as by the official script. */
  readonly predictions: readonly GqaPrediction[];
  /** For validity and plausibility, by question id. */
  readonly choices?: Readonly<Record<string, GqaChoices>>;
  /** Score consistency; then unbalanced questions need predictions too. @default false */
  readonly consistency?: boolean;
  /** For grounding, with the scene graphs by image id. */
  readonly attention?: readonly GqaAttention[];
  readonly sceneGraphs?: Readonly<Record<string, GqaSceneGraph>>;
}

/** Steps that only name or look for something do not count as reasoning. */
const NO_STEP = ['exist', 'query: name', 'choose name'];

/** What questions about a common property may be answered with, whatever the choices say. */
const COMMON = ['color', 'material', 'shape'];

/**
 * All metrics of the official GQA script over the balanced questions. Answers are compared as they are: no normalisation, case counts.
 *
 * @throws {InputError} when a question has no prediction or two, an entailed question is not there, or a question lacks choices, attention or
 * its scene graph.
 *
 * Source: Hudson and Manning, GQA (arXiv 1902.09506); the official `eval.py`, whose object-feature mode fails and is left out.
 */
export function evaluateGqa({
  questions,
  predictions,
  choices,
  consistency = false,
  attention,
  sceneGraphs,
  duplicates,
}: GqaInput): GqaScores {
  const given = indexById('evaluateGqa: predictions', predictions, ({ questionId }) => questionId, { duplicates });
  for (const [id, { prediction }] of given) assertTexts('evaluateGqa: predictions: question', id, [prediction]);
  const all = Object.entries(questions);
  const asked = all.filter(([, { isBalanced }]) => isBalanced);
  const unanswered = (consistency ? all : asked).filter(([id]) => !given.has(id)).map(([id]) => id);
  if (unanswered.length > 0)
    throw new InputError(
      `evaluateGqa: ${unanswered.length} questions have no prediction (${listIds(unanswered)}), expected one for every ${consistency ? '' : 'balanced '}question. ` +
        (consistency ? 'Answer them, or leave out consistency.' : 'Answer them.'),
    );
  const answerTo = (id: string): string => given.get(id)!.prediction;
  const balanced = asked.map(([id, question]) => ({ id, question, correct: answerTo(id) === question.answer ? 1 : 0 }));
  const isOpen = ({ question }: { question: GqaQuestion }): boolean => question.types.structural === 'query';
  const share = (some: readonly { readonly correct: number }[]): number => percent(some.map(({ correct }) => correct));
  const chosen = (kind: keyof GqaChoices): number =>
    choices === undefined
      ? 0
      : percent(balanced.map(({ id, question }) => (isChosen(id, question, answerTo(id), choices, kind) ? 1 : 0)));
  const perGroup = <Key>(keyOf: (question: GqaQuestion) => Key): Map<Key, GqaShare> =>
    new Map(
      [...Map.groupBy(balanced, ({ question }) => keyOf(question))].map(([key, some]) => [
        key,
        { accuracy: share(some), count: some.length },
      ]),
    );
  return {
    accuracy: share(balanced),
    binary: share(balanced.filter((one) => !isOpen(one))),
    open: share(balanced.filter(isOpen)),
    validity: chosen('valid'),
    plausibility: chosen('plausible'),
    consistency: consistency ? percent(consistencies(balanced, questions, answerTo)) : 0,
    grounding: attention === undefined ? 0 : percent(groundings(balanced, attention, sceneGraphs ?? {})),
    distribution: distribution(balanced.map(({ id, question }) => ({ question, predicted: answerTo(id) }))),
    perStructuralType: perGroup(({ types }) => types.structural),
    perSemanticType: perGroup(({ types }) => types.semantic),
    perSteps: perGroup(
      ({ semantic }) =>
        semantic.filter((step) => !NO_STEP.some((one) => `${step.operation}: ${step.argument}`.includes(one))).length,
    ),
    perWords: perGroup(({ question }) => splitWords(question).length),
  };
}

/** A mean times 100; of nothing, 0, as the official script has it. */
function percent(values: readonly number[]): number {
  return values.length === 0 ? 0 : (100 * values.reduce((sum, value) => sum + value, 0)) / values.length;
}

function isChosen(
  id: string,
  { types }: GqaQuestion,
  answer: string,
  choices: Readonly<Record<string, GqaChoices>>,
  kind: keyof GqaChoices,
): boolean {
  const list = types.detailed.includes('Common') ? COMMON : choices[id]?.[kind];
  if (list === undefined)
    throw new InputError(
      `evaluateGqa: question ${id} has no choices, expected a list of ${kind} answers. Take the choices of the same split, or none.`,
    );
  return list.includes(answer);
}

/** For every right answer that entails others: the share of these that are right. */
function consistencies(
  balanced: readonly { readonly id: string; readonly question: GqaQuestion; readonly correct: number }[],
  questions: Readonly<Record<string, GqaQuestion>>,
  answerTo: (id: string) => string,
): number[] {
  return balanced
    .filter(({ correct }) => correct === 1)
    .map(({ id, question }) => ({ id, entailed: question.entailed.filter((other) => other !== id) }))
    .filter(({ entailed }) => entailed.length > 0)
    .map(({ id, entailed }) => {
      const right = entailed.filter((other) => {
        const question = questions[other];
        if (question === undefined)
          throw new InputError(
            `evaluateGqa: question ${id} entails ${other}, which is not among the questions. Score consistency with the file of all questions, not the balanced one.`,
          );
        return answerTo(other) === question.answer;
      });
      return right.length / entailed.length;
    });
}

function groundings(
  balanced: readonly { readonly id: string; readonly question: GqaQuestion }[],
  attention: readonly GqaAttention[],
  sceneGraphs: Readonly<Record<string, GqaSceneGraph>>,
): number[] {
  const maps = indexById('evaluateGqa: attention', attention, ({ questionId }) => questionId);
  return balanced.map(({ id, question }) => {
    const [map, graph] = [maps.get(id), sceneGraphs[question.imageId]];
    if (map === undefined || graph === undefined)
      throw new InputError(
        `evaluateGqa: question ${id} has no ${map === undefined ? 'attention' : `scene graph of image ${question.imageId}`}, ` +
          `expected one for every balanced question. Add it, or leave out attention.`,
      );
    return groundingScore(id, question, graph, map.attention);
  });
}

/** How far the predicted answers of each group of questions are from the true ones: chi-square, weighted by size, over 100. */
function distribution(answers: readonly { readonly question: GqaQuestion; readonly predicted: string }[]): number {
  const groups = Map.groupBy(
    answers.filter(({ question }) => (question.groups?.global ?? null) !== null),
    ({ question }) => question.groups?.global,
  );
  let [sum, size] = [0, 0];
  for (const group of groups.values()) {
    const gold = Map.groupBy(group, ({ question }) => question.answer);
    const given = Map.groupBy(group, ({ predicted }) => predicted);
    let score = 0;
    for (const [answer, { length: expected }] of gold) score += ((given.get(answer)?.length ?? 0) - expected) ** 2 / expected;
    sum += score * group.length;
    size += group.length;
  }
  return size === 0 ? 0 : sum / size / 100;
}
