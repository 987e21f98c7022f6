import { DatasetError } from '@blip2/core';
import { checkEntry, idField, shortened, textField, textsField } from '@blip2/core/json';
import * as z from 'zod/mini';
import { type DatasetRecord, type Question, weightAnswers } from '../records/record.ts';

/** What a row of a table, or the JSON beside an image of a shard, may say of the image. Other fields are not read. */
const rowFields = z.object(
  {
    caption: z.nullish(textsField),
    captions: z.nullish(textsField),
    text: z.nullish(textsField),
    question: z.nullish(textField),
    question_id: z.nullish(idField),
    answer: z.nullish(textsField),
    answers: z.nullish(textsField),
    split: z.nullish(textField),
  },
  'expected an object',
);

/** The texts of a record. */
export type RecordTexts = Pick<DatasetRecord, 'captions' | 'question' | 'split'>;

/**
 * The texts of a row: captions from `captions`, `caption` or `text`, a question with `answers` or `answer`. Several answers are weighted
 * with their shares.
 *
 * @param key - The id of a question that has none of its own.
 * @throws {DatasetError} when a field is malformed, or there are answers without a question.
 */
export function textsOf(value: unknown, key: string, path: string, place: string): RecordTexts {
  const row = checkEntry(rowFields, value, path, place);
  const captions = row.captions ?? row.caption ?? row.text;
  const answers = row.answers ?? row.answer;
  if (answers != null && row.question == null) {
    throw new DatasetError(
      `${path}: ${place}: has answers ${shortened(answers)} and no question, expected both. Add the question.`,
      path,
    );
  }
  const question: Question | undefined =
    row.question == null
      ? undefined
      : { id: row.question_id ?? key, text: row.question, ...(answers == null ? {} : { answers: weightAnswers(answers) }) };
  return {
    ...(captions == null ? {} : { captions }),
    ...(question === undefined ? {} : { question }),
    ...(row.split == null ? {} : { split: row.split }),
  };
}
