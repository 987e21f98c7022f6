import { assertSameIds, assertTexts, indexById, mean } from '../ids.ts';
import type { Id, IndexOptions } from '../ids.ts';
import { normalizeVqaAnswer } from '../vqa/normalization.ts';

/**
 * Share of right answers, in percent, after LAVIS's normalisation of both sides: how BLIP-2's GQA numbers are made.
 *
 * @param questions - With `answer` as the gold answer, as in LAVIS's lists.
 * @throws {InputError} when questions have no result or two, or results have no question.
 *
 * `normalization: 'exact'` compares the texts as they are, as the official script does; the script's other metrics are those of
 * `evaluateGqa`.
 * Source: LAVIS `gqa.py` task, `_report_metrics`.
 */
export function gqaAccuracy({
  questions,
  results,
  normalization = 'lavis',
  duplicates,
}: {
  readonly questions: readonly { readonly question_id: Id; readonly answer: string }[];
  readonly results: readonly { readonly question_id: Id; readonly answer: string }[];
  readonly normalization?: 'lavis' | 'exact';
} & IndexOptions): { readonly accuracy: number; readonly perQuestion: ReadonlyMap<Id, boolean> } {
  const gold = indexById('gqaAccuracy: questions', questions, ({ question_id }) => question_id);
  const given = indexById('gqaAccuracy: results', results, ({ question_id }) => question_id, { duplicates });
  assertSameIds('gqaAccuracy: results', given, gold, 'questions');
  for (const [id, { answer }] of given) assertTexts('gqaAccuracy: results: question', id, [answer]);
  const form = normalization === 'exact' ? (text: string): string => text : lavisForm;
  const perQuestion = new Map([...gold].map(([id, { answer }]) => [id, form(given.get(id)!.answer) === form(answer)]));
  return {
    accuracy: mean(
      'gqaAccuracy',
      [...perQuestion.values()].map((correct) => (correct ? 100 : 0)),
    ),
    perQuestion,
  };
}

function lavisForm(text: string): string {
  return normalizeVqaAnswer(text, 'lavis');
}
