import { DatasetError, type Random } from '@blip2/core';
import type { DatasetRecord } from '@blip2/datasets';
import { splitPrefix } from '@blip2/losses';
import { processCaption, processQuestion } from '@blip2/tokenizers';

/**
 * How a record becomes rows of a batch.
 *
 * Source: LAVIS `blip_processors.py` for what happens to texts; BLIP-2 (arXiv 2301.12597), sections 3.3 and 4, for what is asked and answered.
 */

/** What the first stage reads of a record. */
export interface CaptionRow {
  readonly caption: string;
}

/** What a language model reads and writes. */
export interface PromptedRow {
  readonly prompt: string;
  readonly target: string;
  /** What the queries read. */
  readonly question?: string;
  /** How much the row counts. */
  readonly weight: number;
}

/** Makes the rows of a record; none where it has nothing to learn from. */
export type RowsOf<Row> = (record: DatasetRecord, random: Random) => readonly Row[];

/** One caption of a record, drawn where it has several. */
export const captionRows: RowsOf<CaptionRow> = (record, random) => {
  const caption = oneCaption(record, random);
  return caption === undefined ? [] : [{ caption }];
};

/** The second stage: OPT writes the caption, Flan-T5 goes on from a part of it. */
export function prefixRows(kind: 'opt' | 't5'): RowsOf<PromptedRow> {
  return (record, random) => {
    const caption = oneCaption(record, random);
    if (caption === undefined) return [];
    if (kind === 'opt') return [{ prompt: '', target: caption, weight: 1 }];
    const { prefix, target } = splitPrefix(caption, random);
    return [{ prompt: prefix, target, weight: 1 }];
  };
}

/** Captioning after a prompt. */
export function promptedCaptionRows(prompt: string): RowsOf<PromptedRow> {
  return (record, random) => {
    const caption = oneCaption(record, random);
    return caption === undefined ? [] : [{ prompt, target: caption, weight: 1 }];
  };
}

/**
 * Question answering.
 *
 * @param template - With `{}` for the question.
 * @param answers - `expanded`: a row for each distinct answer, with its weight; `sampled`: one answer, drawn by weight.
 * @param fit - Shortens a question so that its prompt leaves room for an answer.
 */
export function questionRows(
  template: string,
  answers: 'expanded' | 'sampled',
  fit: (question: string) => string = (question) => question,
): RowsOf<PromptedRow> {
  return ({ question: asked }, random) => {
    const given = asked?.answers?.filter(({ answer }) => answer.trim() !== '') ?? [];
    if (asked === undefined || given.length === 0) return [];
    const question = fit(processQuestion(asked.text));
    const prompt = template.replace('{}', () => question);
    if (answers === 'sampled') return [{ prompt, target: drawByWeight(given, random).answer, question, weight: 1 }];
    return given.map(({ answer, weight }) => ({ prompt, target: answer, question, weight }));
  };
}

/** Rows that `questionRows` makes of a record; 1 for other recipes. */
export function countAnswers({ question }: DatasetRecord): number {
  return question?.answers?.filter(({ answer }) => answer.trim() !== '').length ?? 0;
}

/** @throws {DatasetError} for records that teach nothing, in words that say what the recipe needs. */
export function lacksTexts(name: string, needs: 'captions' | 'questions with answers'): DatasetError {
  const columns = needs === 'captions' ? "'caption'" : "'question' and 'answer'";
  return new DatasetError(
    `${name}: has no ${needs}, expected some. A table needs the columns ${columns}; test splits have no answers.`,
    name,
  );
}

function oneCaption({ captions = [] }: DatasetRecord, random: Random): string | undefined {
  const usable = captions.length > 1 ? captions.filter((caption) => caption.trim() !== '') : captions;
  const chosen = usable.length > 1 ? usable[Math.floor(random() * usable.length)] : usable[0];
  const caption = chosen === undefined ? '' : processCaption(chosen);
  return caption === '' ? undefined : caption;
}

function drawByWeight<Answer extends { readonly weight: number }>(answers: readonly Answer[], random: Random): Answer {
  let left = random() * answers.reduce((sum, { weight }) => sum + weight, 0);
  return answers.find(({ weight }) => (left -= weight) < 0) ?? answers.at(-1)!;
}
