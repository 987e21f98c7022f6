import { gqaAccuracy } from '../gqa/gqa-accuracy.ts';
import { evaluateGqa, type GqaInput } from '../gqa/gqa.ts';
import type { GqaQuestion } from '../gqa/questions.ts';
import type { ScoredItem } from './benchmark-run.ts';
import { asObject, type Scored } from './scored.ts';

/**
 * GQA: the official script's metrics, and `normalizedAccuracy`, with which BLIP-2's numbers were made (both sides through VQA's
 * normalisation, as LAVIS does). A metric that lacks its data is 0, as in the official script, and `unavailable` says why.
 *
 * Consistency is scored where it can be: every question has a prediction, and the questions that are entailed are there.
 *
 * @throws {InputError} as `evaluateGqa`.
 */
export function scoreGqa(input: Omit<GqaInput, 'consistency' | 'duplicates'>): Scored {
  const { questions, predictions, choices, attention } = input;
  const given = new Map(predictions.map(({ questionId, prediction }) => [questionId, prediction]));
  const withoutConsistency = whyNotConsistent(questions, given);
  const { perStructuralType, perSemanticType, perSteps, perWords, ...scores } = evaluateGqa({
    ...input,
    consistency: withoutConsistency === undefined,
  });
  const balanced = Object.entries(questions).filter(([, { isBalanced }]) => isBalanced);
  const unavailable = {
    ...(withoutConsistency === undefined ? {} : { consistency: withoutConsistency }),
    ...(choices === undefined ? { validity: 'needs --choices', plausibility: 'needs --choices' } : {}),
    ...(attention === undefined ? { grounding: 'needs --attentions and --scene-graphs' } : {}),
  };
  const { accuracy: normalizedAccuracy } = gqaAccuracy({
    questions: balanced.map(([question_id, { answer }]) => ({ question_id, answer })),
    results: balanced.map(([question_id]) => ({ question_id, answer: given.get(question_id)! })),
  });
  return {
    benchmark: 'gqa',
    mainScore: 'accuracy',
    scores: {
      ...scores,
      normalizedAccuracy,
      perStructuralType: asObject(perStructuralType),
      perSemanticType: asObject(perSemanticType),
      perSteps: asObject(perSteps),
      perWords: asObject(perWords),
    },
    ...(Object.keys(unavailable).length === 0 ? {} : { unavailable }),
    items: balanced.map(([id, question]) => scoredItem(id, question, given.get(id)!)),
  };
}

function scoredItem(id: string, { question, answer, imageId, types }: GqaQuestion, prediction: string): ScoredItem {
  return {
    id,
    score: prediction === answer ? 100 : 0,
    prediction,
    references: [answer],
    question,
    image: `${imageId}.jpg`,
    groups: { 'structural type': types.structural, 'semantic type': types.semantic },
  };
}

function whyNotConsistent(questions: GqaInput['questions'], given: ReadonlyMap<string, string>): string | undefined {
  const all = Object.entries(questions);
  const unanswered = all.filter(([id]) => !given.has(id)).length;
  if (unanswered > 0) return `needs predictions for all questions, also those that are not balanced: ${unanswered} have none`;
  const unknown = all.find(([, { isBalanced, entailed }]) => isBalanced && entailed.some((id) => questions[id] === undefined));
  if (unknown !== undefined) return `needs the file of all questions: question ${unknown[0]} entails one that is not there`;
  return undefined;
}
