import { DatasetError } from '@blip2/core';
import { checkEntry, idField, type JsonEntry, placeOf, readJsonEntries, textField, textsField } from '@blip2/core/json';
import { fileSource } from '@blip2/core/node';
import * as z from 'zod/mini';
import { type IndexedDataset, type Question, weightAnswers } from '../records/record.ts';
import { cocoImage, cocoImageOfId, gqaImage, type IdentifyImage, sharingImages, visualGenomeImage } from './image-identity.ts';
import { type AskedImage, questionDataset, QuestionIds, type ReaderOptions } from './tables.ts';

/** An entry of the lists that BLIP and LAVIS made of VQAv2, Visual Genome and GQA. Other fields are optional there and not read. */
const listEntry = z.object(
  { question_id: idField, question: textField, image: textField, answer: z.optional(textsField) },
  'expected { question_id, question, image }',
);

/** Options of {@link readVqa}. */
export interface VqaReaderOptions extends ReaderOptions {
  /** The official file of answers, `v2_mscoco_train2014_annotations.json`. Test splits have none; lists of LAVIS contain them. */
  readonly annotations?: string;
}

/** Options of {@link readVisualGenomeQuestions}. */
export interface VisualGenomeQuestionOptions extends ReaderOptions {
  /** What the one answer of a question weighs. LAVIS takes 0.2 when it mixes them with those of VQAv2. @default 1 */
  readonly answerWeight?: number;
}

const vqaQuestion = z.object(
  { question_id: idField, question: textField, image_id: z.int('expected the number of an image') },
  'expected { question_id, question, image_id }',
);
const vqaAnnotation = z.object(
  {
    question_id: idField,
    answers: z.array(z.object({ answer: textField }, 'expected { answer }'), 'expected a list of { answer }'),
  },
  'expected { question_id, answers }',
);

/**
 * Questions of VQAv2, each with its distinct answers, weighted with their share of the ten that were given: the official files,
 * or a list of LAVIS (`vqa_train.json`).
 *
 * @param path - The file of questions.
 * @param options.images - The folder with `train2014`, `val2014` and `test2015` in it, or with the images themselves.
 * @returns rows `vqav2:262148000`.
 * @throws {DatasetError} naming file and entry, when a file is missing, broken or of another format, or a question has no answers
 *   though a file of answers was given.
 * @throws the abort signal's reason.
 *
 * @example
 * const questions = await readVqa('v2_OpenEnded_mscoco_val2014_questions.json', {
 *   annotations: 'v2_mscoco_val2014_annotations.json',
 *   images: 'coco',
 * });
 *
 * Source: VQAv2 (arXiv 1612.00837); LAVIS `COCOVQADataset` for the weights.
 */
export async function readVqa(path: string, options: VqaReaderOptions): Promise<IndexedDataset> {
  const { abortSignal, images } = options;
  const answers = options.annotations === undefined ? undefined : await readVqaAnswers(options.annotations, abortSignal);
  const ids = new QuestionIds();
  const asked: AskedImage[] = [];
  const loose: { readonly imageId: number; readonly question: Question; readonly place: string }[] = [];
  let subset = '';
  const identify = sharingImages(cocoImage);
  const onEntry = (entry: JsonEntry): void => {
    if (entry.key === undefined) {
      asked.push(listQuestion(entry, path, ids, identify));
    } else if (entry.key === 'questions') {
      const place = placeOf(entry);
      const { question_id: questionId, question, image_id: imageId } = checkEntry(vqaQuestion, entry.value, path, place);
      ids.add(questionId, path, place);
      loose.push({ imageId, question: { id: questionId, text: question }, place });
    } else {
      subset = checkEntry(textField, entry.value, path, placeOf(entry));
    }
  };
  await readJsonEntries(fileSource(path), onEntry, {
    abortSignal,
    isWanted: (key) => key === 'questions' || key === 'data_subtype',
  });
  // `test-dev2015` asks about images of `test2015`.
  const folders = subset === '' ? ['train2014', 'val2014', 'test2015'] : [subset.replace('-dev', '')];
  const split = /^(train|val|test)/.exec(subset)?.[0];
  const identifyNumber = sharingImages((digits) => cocoImageOfId(Number(digits), folders));
  for (const { imageId, question, place } of loose) {
    const image = identifyNumber(String(imageId), path, place);
    asked.push({ ...image, question: withAnswers(question, answers, options, path, place), ...(split && { split }) });
  }
  return questionDataset('vqav2', path, asked, images);
}

async function readVqaAnswers(path: string, abortSignal?: AbortSignal): Promise<Map<number | string, Question['answers']>> {
  const answers = new Map<number | string, Question['answers']>();
  const onEntry = (entry: JsonEntry): void => {
    const found = checkEntry(vqaAnnotation, entry.value, path, placeOf(entry));
    answers.set(found.question_id, weightAnswers(found.answers.map(({ answer }) => answer)));
  };
  await readJsonEntries(fileSource(path), onEntry, { abortSignal, isWanted: (key) => key === 'annotations' });
  return answers;
}

function withAnswers(
  question: Question,
  all: ReadonlyMap<number | string, Question['answers']> | undefined,
  { annotations }: VqaReaderOptions,
  path: string,
  place: string,
): Question {
  if (all === undefined) return question;
  const answers = all.get(question.id);
  if (answers !== undefined && answers.length > 0) return { ...question, answers };
  throw new DatasetError(
    `${path}: ${place}: ${annotations} has no answers to question ${question.id}, expected some. Pass the two files of one split.`,
    path,
  );
}

const visualGenomeEntry = z.object(
  {
    id: z.int('expected the number of an image'),
    qas: z.array(
      z.object({ qa_id: idField, question: textField, answer: textField }, 'expected { qa_id, question, answer }'),
      'expected a list',
    ),
  },
  'expected { id, qas } or { question_id, question, image }',
);

/**
 * Questions of Visual Genome, each with one answer: `question_answers.json`, or `vg_qa.json` of LAVIS.
 *
 * @param options.images - The folder with `VG_100K` and `VG_100K_2`, or with the images themselves.
 * @returns rows `visual-genome-questions:986769`.
 * @throws {DatasetError} as {@link readVqa}.
 *
 * Source: LAVIS `VGVQADataset`.
 */
export async function readVisualGenomeQuestions(path: string, options: VisualGenomeQuestionOptions): Promise<IndexedDataset> {
  const { abortSignal, images, answerWeight: weight = 1 } = options;
  const ids = new QuestionIds();
  const asked: AskedImage[] = [];
  const identify = sharingImages(visualGenomeImage);
  const onEntry = (entry: JsonEntry): void => {
    const place = placeOf(entry);
    if (typeof entry.value === 'object' && entry.value !== null && 'question_id' in entry.value) {
      const { question, ...image } = listQuestion(entry, path, ids, identify);
      const answers = question.answers?.map(({ answer, weight: share }) => ({ answer, weight: share * weight }));
      asked.push({ ...image, question: { ...question, answers } });
      return;
    }
    const found = checkEntry(visualGenomeEntry, entry.value, path, place);
    const image = visualGenomeImage(`VG_100K/${found.id}.jpg`, path, place);
    for (const { qa_id: questionId, question, answer } of found.qas) {
      ids.add(questionId, path, place);
      asked.push({ ...image, question: { id: questionId, text: question, answers: [{ answer, weight }] } });
    }
  };
  await readJsonEntries(fileSource(path), onEntry, { abortSignal });
  return questionDataset('visual genome questions', path, asked, images);
}

const gqaQuestion = z.object(
  { question: textField, imageId: textField, answer: z.optional(textField) },
  'expected { question, imageId }',
);

/**
 * Questions of GQA, each with one answer of weight 1: the official files, which are objects keyed by question, or a list of LAVIS.
 *
 * @param path - A file, or several, such as the ten of `train_all`.
 * @param options.images - The folder of the images, or the one that their folder `images` lies in.
 * @returns rows `gqa:201307251`; `imageKey` is `vg:…` for pictures of Visual Genome.
 * @throws {DatasetError} as {@link readVqa}.
 *
 * Source: GQA (arXiv 1902.09506), `questions1.2`.
 */
export async function readGqa(path: string | readonly string[], options: ReaderOptions): Promise<IndexedDataset> {
  const paths = typeof path === 'string' ? [path] : path;
  const ids = new QuestionIds();
  const asked: AskedImage[] = [];
  const identify = sharingImages(gqaImage);
  for (const file of paths) {
    const onEntry = (entry: JsonEntry): void => {
      if (entry.key === undefined) {
        asked.push(listQuestion(entry, file, ids, identify));
        return;
      }
      const place = placeOf(entry);
      const { question, imageId, answer } = checkEntry(gqaQuestion, entry.value, file, place);
      ids.add(entry.key, file, place);
      const answers = answer === undefined ? {} : { answers: [{ answer, weight: 1 }] };
      asked.push({ ...identify(`${imageId}.jpg`, file, place), question: { id: entry.key, text: question, ...answers } });
    };
    await readJsonEntries(fileSource(file), onEntry, { abortSignal: options.abortSignal });
  }
  return questionDataset('gqa', paths.join(', '), asked, options.images);
}

function listQuestion(entry: JsonEntry, path: string, ids: QuestionIds, identify: IdentifyImage): AskedImage {
  const place = placeOf(entry);
  const { question_id: questionId, question, image, answer } = checkEntry(listEntry, entry.value, path, place);
  ids.add(questionId, path, place);
  const answers = answer === undefined ? {} : { answers: weightAnswers(answer) };
  return { ...identify(image, path, place), question: { id: questionId, text: question, ...answers } };
}
