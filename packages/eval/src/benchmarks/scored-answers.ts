import type { Id } from '../ids.ts';
import type { VqaNormalization } from '../vqa/normalization.ts';
import { evaluateVqa, type VqaAnnotation } from '../vqa/vqa.ts';
import type { ScoredItem } from './benchmark-run.ts';
import { asObject, type Scored } from './scored.ts';

/** What a report shows of a question beside its answer. */
export interface AskedQuestion {
  readonly question: string;
  /** The image's file. */
  readonly image?: string;
}

/**
 * VQAv2: accuracy of all answers, by answer type and by question type, in percent.
 *
 * @param input.answers - By question id, as `predictAnswers` gives them.
 * @param input.questions - For reports. @default ids alone
 * @throws {InputError} as `evaluateVqa`.
 */
export function scoreVqa({
  annotations,
  answers,
  questions,
  normalization,
}: {
  readonly annotations: readonly VqaAnnotation[];
  readonly answers: ReadonlyMap<Id, string>;
  readonly questions?: ReadonlyMap<Id, AskedQuestion>;
  readonly normalization?: VqaNormalization;
}): Scored {
  const results = [...answers].map(([question_id, answer]) => ({ question_id, answer }));
  const { overall, perAnswerType, perQuestionType, perQuestion } = evaluateVqa({ annotations, results, normalization });
  const items = annotations.map(({ question_id: id, answer_type, question_type, answers: given }): ScoredItem => ({
    id,
    score: perQuestion.get(id)!,
    prediction: answers.get(id)!,
    references: given.map(({ answer }) => answer),
    ...questions?.get(id),
    groups: {
      ...(answer_type === undefined ? {} : { 'answer type': answer_type }),
      ...(question_type === undefined ? {} : { 'question type': question_type }),
    },
  }));
  const scores = { overall, perAnswerType: asObject(perAnswerType), perQuestionType: asObject(perQuestionType) };
  return { benchmark: 'vqav2', mainScore: 'accuracy', scores, items };
}
